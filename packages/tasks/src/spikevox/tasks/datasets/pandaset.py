"""PandaSet: scans of two sensors with point labels, boxes and poses (pandaset.org).

Two layouts of a sequence are read: compact ``NN.npz``, and the published ``lidar/NN.pkl.gz`` with ``annotations``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.atomic import write_arrays
from spikevox.tasks.datasets.axes import FROM_RIGHTWARD, forward_pose, to_forward, to_rightward
from spikevox.tasks.datasets.base import data_folder
from spikevox.tasks.datasets.frame import Boxes, LidarFrame, check_frame
from spikevox.tasks.datasets.lidar_file import check_known, pick, strays
from spikevox.tasks.datasets.pandaset_label import LABEL_NAMES
from spikevox.tasks.datasets.pandaset_published import COLUMNS, read_published
from spikevox.tasks.errors import ConfigError, DataFileError

_POINTS = ("xyz_cm", "intensity", "sensor", "semseg")
_BOXES = ("box_center", "box_size", "box_yaw", "box_label", "box_uuid")
_KEYS = (*_POINTS, *_BOXES, "ego_rot", "ego_pos", "timestamp")


class PandaSet:
    """Frames of PandaSet.

    Args:
        root: folder of the sequences; ``pandaset`` in the data folder by default.
        sequences: names such as ``("002",)``; all that are there by default.
        sensor: 0 for the turning Pandar64 alone, 1 for the forward PandarGT alone, ``None`` for both.

    Attributes:
        frames: ``SEQUENCE/NUMBER`` of each frame.

    Raises:
        ConfigError: another sensor.
        DataFileError: no sequences, or one that is not there or holds no scans.
    """

    label_names: Mapping[int, str] = LABEL_NAMES

    def __init__(
        self, root: str | Path | None = None, sequences: Sequence[str] | None = None, *, sensor: int | None = None
    ) -> None:
        if sensor not in (0, 1, None):
            raise ConfigError(f"sensor is 0 (Pandar64), 1 (PandarGT) or None for both, got {sensor!r}.")
        self.root = data_folder("pandaset") if root is None else Path(root)
        self.sensor = sensor
        if sequences is None:
            sequences = sorted(path.name for path in self.root.glob("*") if _scans(path))
        if not sequences:
            raise DataFileError(f"{self.root} holds no sequence with scans (NN.npz or lidar/NN.pkl.gz).", self.root)
        self.sequences = tuple(sequences)
        for sequence in self.sequences:
            if not _scans(self.root / sequence):
                folder = self.root / sequence
                raise DataFileError(f"{folder} holds no scans (NN.npz or lidar/NN.pkl.gz).", folder)
        self.name = f"PandaSet {' '.join(self.sequences)}"
        self.frames = tuple(f"{name}/{scan}" for name in self.sequences for scan in _scans(self.root / name))

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, index: int) -> LidarFrame:
        """Points (P, 5) x, y, z, intensity (0 to 255), sensor, with labels, boxes, pose and time where they are there.

        Coordinates are those of the vehicle with x forward, y left, z up.

        Raises:
            DataFileError: a file that is missing, truncated, empty or of another form, label numbers that PandaSet does not
                define, or no points of the sensor.
        """
        sequence, scan = pick(index, self.frames).split("/")
        path = self.root / sequence / f"{scan}.npz"
        frame = _read_npz(path) if path.is_file() else read_published(self.root / sequence, scan, self.sensor)
        if self.sensor is not None:
            kept = frame.points[:, 4] == self.sensor
            labels = None if frame.labels is None else frame.labels[kept]
            frame = replace(frame, points=frame.points[kept], labels=labels)
        return check_frame(frame)

    def strays(self) -> list[str]:
        """A line for each file that belongs to no frame."""
        found = []
        for sequence in self.sequences:
            folder, scans = self.root / sequence, _scans(self.root / sequence)
            if (folder / "lidar").is_dir():
                for part in ("lidar", "annotations/semseg", "annotations/cuboids"):
                    lines = strays(folder / part, ".pkl.gz", scans, folder / "lidar")
                    found += [line for line in lines if ".json" not in line]
            else:
                found += [line for line in strays(folder, ".npz", scans, folder) if "classes.json" not in line]
        return found


def _scans(folder: Path) -> list[str]:
    compact = [path.stem for path in folder.glob("*.npz")]
    published = [path.name.removesuffix(".pkl.gz") for path in (folder / "lidar").glob("*.pkl.gz")]
    return sorted(name for name in compact or published if name.isdecimal())


def _read_npz(path: Path) -> LidarFrame:
    arrays = _load(path)
    lengths = {key: len(arrays[key]) for key in _POINTS}
    box_lengths = {key: len(arrays[key]) for key in _BOXES}
    for found in (lengths, box_lengths):
        if len(set(found.values())) != 1:
            raise DataFileError(f"{path}: arrays differ in length: {found}.", path)
    labels = arrays["semseg"].astype(np.int64)
    check_known(labels, LABEL_NAMES, path)
    metres = to_forward(arrays["xyz_cm"].astype(np.float32)) / np.float32(100)
    points = np.column_stack([metres, arrays["intensity"], arrays["sensor"]]).astype(np.float32)
    boxes = Boxes(
        to_forward(arrays["box_center"]).astype(np.float64),
        arrays["box_size"].astype(np.float64)[:, [1, 0, 2]],
        # Theirs is from y, which is forward, as ours is from x.
        arrays["box_yaw"].astype(np.float64),
        tuple(str(name) for name in arrays["box_label"]),
        tuple(str(name) for name in arrays["box_uuid"]),
    )
    pose = forward_pose(arrays["ego_rot"], arrays["ego_pos"])
    return LidarFrame(points, COLUMNS, str(path), labels, None, boxes, pose, float(arrays["timestamp"]))


def _load(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise DataFileError(f"{path} is not there.", path)
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {key: file[key] for key in _KEYS if key in file}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataFileError(f"{path} cannot be read as npz ({error}); it may be truncated.", path) from error
    missing = [key for key in _KEYS if key not in arrays]
    if missing:
        raise DataFileError(f"{path} lacks the arrays {', '.join(missing)}.", path)
    shapes = {"xyz_cm": (-1, 3), "box_center": (-1, 3), "box_size": (-1, 3), "ego_rot": (3, 3), "ego_pos": (3,)}
    for key, shape in shapes.items():
        got = arrays[key].shape
        if len(got) != len(shape) or any(want not in (-1, have) for want, have in zip(shape, got, strict=True)):
            raise DataFileError(f"{path}: expected {key} of shape {shape}, got {got}.", path)
    return arrays


def write_pandaset_frame(root: str | Path, sequence: str, scan: int, frame: LidarFrame) -> None:
    """Writes a frame as ``SEQUENCE/NN.npz``, the compact layout.

    Coordinates are rounded to whole centimetres and intensities to whole numbers of 0 to 255; what has such values already
    is read back exactly. :func:`spikevox.tasks.datasets.write_pandaset` writes the published layout.

    Raises:
        DataFileError: other columns, no labels, boxes, pose or time, or values that do not fit the file's integers.
    """
    path = Path(root) / sequence / f"{scan:02d}.npz"
    if frame.columns != COLUMNS:
        raise DataFileError(f"{path}: expected the columns {', '.join(COLUMNS)}, got {', '.join(frame.columns)}.", path)
    if frame.labels is None or frame.boxes is None or frame.pose is None or frame.time is None:
        raise DataFileError(f"{path}: a frame needs labels, boxes, a pose and a time.", path)
    check_frame(frame)
    check_known(frame.labels, LABEL_NAMES, path)
    xyz = np.rint(to_rightward(frame.points[:, :3].astype(np.float64)) * 100)
    rest = np.rint(frame.points[:, 3:])
    if np.abs(xyz).max() > np.iinfo(np.int16).max or rest.min() < 0 or rest.max() > 255:
        raise DataFileError(f"{path}: points must lie within 327.67 m and intensities within 0 to 255.", path)
    boxes = frame.boxes
    identities = boxes.identities or tuple("" for _ in boxes.names)
    write_arrays(
        path,
        {
            "xyz_cm": xyz.astype(np.int16),
            "intensity": rest[:, 0].astype(np.uint8),
            "sensor": rest[:, 1].astype(np.uint8),
            "semseg": frame.labels.astype(np.uint8),
            "box_center": to_rightward(boxes.centers),
            "box_size": boxes.sizes[:, [1, 0, 2]],
            "box_yaw": boxes.yaw,
            "box_label": np.array(boxes.names, dtype=np.str_),
            "box_uuid": np.array(identities, dtype=np.str_),
            "ego_rot": frame.pose[:3, :3] @ FROM_RIGHTWARD,
            "ego_pos": frame.pose[:3, 3],
            "timestamp": np.array(frame.time),
        },
    )
