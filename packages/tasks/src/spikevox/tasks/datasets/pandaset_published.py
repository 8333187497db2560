"""PandaSet as it is published: pickled pandas tables in the world's coordinates, poses, annotations."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.axes import forward_pose, matrix_from_quaternion, move
from spikevox.tasks.datasets.frame import Boxes, LidarFrame
from spikevox.tasks.datasets.lidar_file import check_known, read_text
from spikevox.tasks.datasets.pandaset_label import LABEL_NAMES
from spikevox.tasks.datasets.restricted_pickle import read_table
from spikevox.tasks.errors import DataFileError

COLUMNS = ("x", "y", "z", "intensity", "sensor")
_CUBOID = ("uuid", "label", "yaw", *(f"{part}.{axis}" for part in ("position", "dimensions") for axis in "xyz"))


def read_published(folder: str | Path, scan: str, sensor: int | None = None) -> LidarFrame:
    """One frame of a sequence with ``lidar/NN.pkl.gz``, ``lidar/poses.json`` and, where they are there, annotations.

    Coordinates are those of the vehicle with x forward, y left, z up. Labels and boxes are ``None`` where the sequence has no
    folder of them. An object that both sensors see may have a box of each; with ``sensor``, boxes of the other are left out.
    The times of single points, column ``t`` of the file, are left out.

    Raises:
        DataFileError: a file that is missing, truncated, empty or of another form, of another length than the scan, or with
            unknown label numbers.
    """
    folder = Path(folder)
    path = folder / "lidar" / f"{scan}.pkl.gz"
    table = _columns(path, ("x", "y", "z", "i", "d"))
    place = int(scan)
    pose = _pose(folder / "lidar" / "poses.json", place)
    here = np.linalg.inv(pose).astype(np.float64)
    xyz = move(np.column_stack([table[axis] for axis in "xyz"]), here)
    points = np.column_stack([xyz, table["i"], table["d"]]).astype(np.float32)
    annotations = folder / "annotations"
    labels = boxes = None
    if (annotations / "semseg").is_dir():
        labels = _labels(annotations / "semseg" / f"{scan}.pkl.gz", len(points))
    if (annotations / "cuboids").is_dir():
        boxes = _boxes(annotations / "cuboids" / f"{scan}.pkl.gz", here, sensor)
    return LidarFrame(points, COLUMNS, str(path), labels, None, boxes, pose, _time(folder / "lidar", place))


def _columns(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    table = read_table(path)
    missing = [name for name in names if name not in table]
    if missing:
        raise DataFileError(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(table)}.", path)
    texts = [name for name in names if name not in ("uuid", "label") and table[name].dtype.kind not in "biuf"]
    if texts:
        raise DataFileError(f"{path}: column {texts[0]} holds no numbers.", path)
    return table


def _labels(path: Path, count: int) -> NDArray[np.int64]:
    labels = _columns(path, ("class",))["class"].astype(np.int64)
    if len(labels) != count:
        raise DataFileError(f"{path} has {len(labels)} labels and its scan {count} points.", path)
    check_known(labels, LABEL_NAMES, path)
    return labels


def _boxes(path: Path, here: NDArray[np.float64], sensor: int | None) -> Boxes:
    table = _columns(path, _CUBOID)
    kept = np.ones(len(table["yaw"]), dtype=bool)
    if sensor is not None and "cuboids.sensor_id" in table:
        # -1: outside of what both sensors see.
        kept = np.isin(table["cuboids.sensor_id"].astype(np.int64), (-1, sensor))
    centers = np.column_stack([table[f"position.{axis}"][kept] for axis in "xyz"]).astype(np.float64)
    yaw = table["yaw"][kept].astype(np.float64)
    # The length lies along y where the yaw is 0.
    headings = np.stack([-np.sin(yaw), np.cos(yaw), np.zeros(len(yaw))], axis=1) @ here[:3, :3].T
    return Boxes(
        move(centers, here),
        np.column_stack([table[f"dimensions.{axis}"][kept] for axis in "yxz"]).astype(np.float64),
        np.arctan2(headings[:, 1], headings[:, 0]),
        tuple(str(name) for name in table["label"][kept]),
        tuple(str(name) for name in table["uuid"][kept]),
    )


def _pose(path: Path, place: int) -> NDArray[np.float64]:
    record = _record(path, place)
    try:
        rotation = matrix_from_quaternion(np.array([record["heading"][axis] for axis in "wxyz"], dtype=np.float64))
        position = np.array([record["position"][axis] for axis in "xyz"], dtype=np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise DataFileError(f"{path}, entry {place}: no heading and position ({error}).", path) from error
    return forward_pose(rotation, position)


def _time(folder: Path, place: int) -> float | None:
    path = folder / "timestamps.json"
    if not path.is_file():
        return None
    time = _record(path, place)
    if not isinstance(time, int | float):
        raise DataFileError(f"{path}, entry {place}: expected seconds, got {time!r}.", path)
    return float(time)


def _record(path: Path, place: int) -> Any:
    try:
        records = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataFileError(f"{path} is no json ({error}); it may be truncated.", path) from error
    if not isinstance(records, list) or place >= len(records):
        raise DataFileError(f"{path} has no entry for scan {place}.", path)
    return records[place]
