"""Writes sequences in PandaSet's published layout, whose tables are pickled pandas DataFrames; pandas itself is not needed."""

import gzip
import json
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.atomic import write_atomically
from spikevox.tasks.datasets.axes import FROM_RIGHTWARD, move, quaternion_from_matrix
from spikevox.tasks.datasets.frame import Boxes, LidarFrame, check_frame
from spikevox.tasks.datasets.lidar_file import check_known
from spikevox.tasks.datasets.pandaset_label import LABEL_NAMES
from spikevox.tasks.datasets.pandaset_published import COLUMNS
from spikevox.tasks.errors import DataFileError

# A pickle of a call: DataFrame(columns). Protocol 3 has no frames around its parts, so that one pickle goes into another.
_CALL = b"\x80\x03cpandas.core.frame\nDataFrame\n"
_PROTOCOL = 3


def write_pandaset(root: str | Path, sequence: str, frames: Iterable[LidarFrame]) -> None:
    """Writes a sequence: ``lidar/NN.pkl.gz``, ``poses.json`` and ``timestamps.json``, ``annotations/{semseg,cuboids}/NN.pkl.gz``.

    Points and boxes go through the world's coordinates in float64 and come back within its rounding. The folders ``camera``
    and ``meta`` are not written. Boxes of which the velocity is known are ``stationary`` where it is 0.

    Args:
        root: folder of the sequences.
        sequence: such as ``"002"``.
        frames: in order of time, each with the columns x, y, z, intensity, sensor, labels, boxes, a pose and a time; taken
            one after the other.

    Raises:
        DataFileError: other columns, a part that a frame lacks, or label numbers that PandaSet does not define.
    """
    folder = Path(root) / sequence
    poses: list[dict[str, dict[str, float]]] = []
    times: list[float] = []
    for number, frame in enumerate(frames):
        name = f"{number:02d}.pkl.gz"
        path = folder / "lidar" / name
        if (
            frame.columns != COLUMNS
            or frame.labels is None
            or frame.boxes is None
            or frame.pose is None
            or frame.time is None
        ):
            raise DataFileError(
                f"{path}: a frame needs the columns {', '.join(COLUMNS)}, labels, boxes, a pose and a time; this one has the "
                f"columns {', '.join(frame.columns)}.",
                path,
            )
        check_frame(frame)
        check_known(frame.labels, LABEL_NAMES, path)
        _write_table(folder / "annotations" / "semseg" / name, {"class": frame.labels})
        _write_table(folder / "annotations" / "cuboids" / name, _cuboids(frame.boxes, frame.pose))
        _write_table(path, _points(frame, frame.pose, frame.time))
        heading = quaternion_from_matrix(frame.pose[:3, :3] @ FROM_RIGHTWARD).tolist()
        position = frame.pose[:3, 3].tolist()
        poses.append(
            {"position": dict(zip("xyz", position, strict=True)), "heading": dict(zip("wxyz", heading, strict=True))}
        )
        times.append(float(frame.time))
    classes = {str(number): name for number, name in LABEL_NAMES.items() if number}
    for path, content in (
        (folder / "annotations" / "semseg" / "classes.json", classes),
        (folder / "lidar" / "timestamps.json", times),
        (folder / "lidar" / "poses.json", poses),
    ):
        write_atomically(path, f"{json.dumps(content, indent=1)}\n".encode())


def _points(frame: LidarFrame, pose: NDArray[np.float64], time: float) -> dict[str, NDArray[Any]]:
    world = move(frame.points, pose)
    return {
        **{axis: world[:, column] for column, axis in enumerate("xyz")},
        "i": frame.points[:, 3].astype(np.float64),
        "t": np.full(len(world), time),
        "d": frame.points[:, 4].astype(np.int64),
    }


def _cuboids(boxes: Boxes, pose: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    world = move(boxes.centers, pose)
    headings = np.stack([np.cos(boxes.yaw), np.sin(boxes.yaw), np.zeros(len(boxes))], axis=1) @ pose[:3, :3].T
    identities = boxes.identities or tuple("" for _ in boxes.names)
    known = np.zeros((len(boxes), 2)) if boxes.velocities is None else np.nan_to_num(boxes.velocities)
    return {
        "uuid": np.array(identities, dtype=object),
        "label": np.array(boxes.names, dtype=object),
        # Theirs is 0 where the length lies along y.
        "yaw": np.arctan2(-headings[:, 0], headings[:, 1]),
        "stationary": np.asarray(~known.any(axis=1)),
        "camera_used": np.full(len(boxes), -1, dtype=np.int64),
        **{f"position.{axis}": world[:, column] for column, axis in enumerate("xyz")},
        **{f"dimensions.{axis}": boxes.sizes[:, column] for axis, column in zip("xyz", (1, 0, 2), strict=True)},
        "cuboids.sensor_id": np.full(len(boxes), -1, dtype=np.int64),
    }


def _write_table(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    plain = {name: np.ascontiguousarray(column) for name, column in columns.items()}
    # Without its first two bytes, the protocol, and its last, the end.
    body = pickle.dumps(plain, _PROTOCOL)[2:-1]
    # TUPLE1, REDUCE, STOP.
    content = _CALL + body + b"\x85R."
    write_atomically(path, gzip.compress(content, compresslevel=1, mtime=0))
