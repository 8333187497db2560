"""SemanticKITTI: scans, labels and poses of driven sequences (semantic-kitti.org)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.atomic import write_atomically
from spikevox.tasks.datasets.base import data_folder
from spikevox.tasks.datasets.frame import LidarFrame, check_frame
from spikevox.tasks.datasets.lidar_file import check_known, homogeneous, numbers, pick, read_text, strays, write_numbers
from spikevox.tasks.datasets.points import read_points
from spikevox.tasks.datasets.semantickitti_label import LABEL_NAMES
from spikevox.tasks.errors import ConfigError, DataFileError

COLUMNS = ("x", "y", "z", "intensity")
SPLITS: Mapping[str, tuple[str, ...]] = {
    "train": ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10"),
    "val": ("08",),
    "test": tuple(f"{number:02d}" for number in range(11, 22)),
}


class _Sequence(NamedTuple):
    """Poses (F, 4, 4) of the LiDAR and times (F,) in seconds, ``None`` where their files are not there."""

    poses: NDArray[np.float64] | None
    times: NDArray[np.float64] | None


class SemanticKitti:
    """Frames of SemanticKITTI.

    Args:
        root: folder with ``sequences``; ``semantickitti`` in the data folder by default.
        sequences: names such as ``("00", "08")``, or ``"train"``, ``"val"`` or ``"test"``; all that are there by default.

    Attributes:
        frames: ``SEQUENCE/NUMBER`` of each frame.

    Raises:
        ConfigError: an unknown split.
        DataFileError: no sequences, one that is not there or holds no scans, or poses of another form.
    """

    label_names: Mapping[int, str] = LABEL_NAMES

    def __init__(self, root: str | Path | None = None, sequences: str | Sequence[str] | None = None) -> None:
        self.root = data_folder("semantickitti") if root is None else Path(root)
        self.folder = self.root / "sequences"
        if isinstance(sequences, str):
            if sequences not in SPLITS:
                raise ConfigError(
                    f"unknown split {sequences!r}; there are {', '.join(SPLITS)}, or give a list of names."
                )
            sequences = SPLITS[sequences]
        if sequences is None:
            sequences = sorted(path.parent.name for path in self.folder.glob("*/velodyne"))
        if not sequences:
            raise DataFileError(f"{self.folder} holds no sequence with a folder velodyne.", self.folder)
        self.sequences = tuple(sequences)
        self.name = f"SemanticKITTI {' '.join(self.sequences)}"
        self.frames = tuple(f"{name}/{scan}" for name in self.sequences for scan in self._scans(name))
        self._known = {name: self._read_sequence(name) for name in self.sequences}

    def _scans(self, sequence: str) -> list[str]:
        folder = self.folder / sequence / "velodyne"
        scans = sorted(path.stem for path in folder.glob("*.bin"))
        if not scans:
            raise DataFileError(f"{folder} holds no scans (*.bin).", folder)
        wrong = [scan for scan in scans if not scan.isdecimal()]
        if wrong:
            raise DataFileError(f"{folder / wrong[0]}.bin: a scan's name is its number, such as 000000.bin.", folder)
        return scans

    def _read_sequence(self, sequence: str) -> _Sequence:
        folder = self.folder / sequence
        times = poses = None
        if (folder / "times.txt").is_file():
            times = read_matrices(folder / "times.txt", 1)[:, 0]
        if (folder / "poses.txt").is_file():
            to_camera = homogeneous(_read_tr(folder / "calib.txt"))
            camera = read_matrices(folder / "poses.txt", 12).reshape(-1, 3, 4)
            poses = np.stack([np.linalg.inv(to_camera) @ homogeneous(pose) @ to_camera for pose in camera])
        return _Sequence(poses, times)

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, index: int) -> LidarFrame:
        """Points (P, 4) x, y, z, intensity; labels in SemanticKITTI's numbers; pose in the first frame's coordinates.

        The pose is that of the LiDAR; the world's axes are those of its first scan. A sequence without a folder ``labels``,
        as in the test split, has no labels.

        Raises:
            DataFileError: a file that is missing, truncated, empty, of another length than the scan, or with label numbers
                that SemanticKITTI does not define; a scan beyond the last pose or time.
        """
        name = pick(index, self.frames)
        sequence, scan = name.split("/")
        folder = self.folder / sequence
        path = folder / "velodyne" / f"{scan}.bin"
        points = read_points(path).points
        labels = instances = None
        if (folder / "labels").is_dir():
            labels, instances = read_labels(folder / "labels" / f"{scan}.label", len(points))
        known = self._known[sequence]
        pose = _of_scan(known.poses, int(scan), folder / "poses.txt")
        time = _of_scan(known.times, int(scan), folder / "times.txt")
        return check_frame(
            LidarFrame(points, COLUMNS, str(path), labels, instances, None, pose, None if time is None else float(time))
        )

    def strays(self) -> list[str]:
        """A line for each label without its scan, and each file of another ending."""
        found = []
        for sequence in self.sequences:
            folder, scans = self.folder / sequence, self._scans(sequence)
            found += strays(folder / "velodyne", ".bin", scans, folder / "velodyne")
            found += strays(folder / "labels", ".label", scans, folder / "velodyne")
        return found


def _of_scan(values: NDArray[np.float64] | None, scan: int, path: Path) -> NDArray[np.float64] | None:
    if values is None:
        return None
    if scan >= len(values):
        raise DataFileError(f"{path} has {len(values)} rows and none for scan {scan}; it may be truncated.", path)
    value: NDArray[np.float64] = values[scan]
    return value


def _read_tr(path: Path) -> NDArray[np.float64]:
    for row, line in enumerate(read_text(path).splitlines(), 1):
        if line.startswith("Tr:"):
            return numbers(line[3:].split(), 12, path, row).reshape(3, 4)
    raise DataFileError(f"{path} lacks the row 'Tr:', from LiDAR to camera coordinates.", path)


def read_matrices(path: str | Path, count: int) -> NDArray[np.float64]:
    """(rows, count) float64 of a text file with ``count`` numbers in each row.

    Raises:
        DataFileError: a missing or empty file, or a row of another form; names the row.
    """
    path = Path(path)
    lines = read_text(path).splitlines()
    if not lines:
        raise DataFileError(f"{path} is empty.", path)
    return np.stack([numbers(line.split(), count, path, row) for row, line in enumerate(lines, 1)])


def read_labels(path: str | Path, count: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels and instances (P,) of a ``.label`` file: uint32, the label in the low 16 bits, the instance in the high.

    Args:
        path: the file.
        count: P, where the scan is known.

    Raises:
        DataFileError: a file that is missing, empty, truncated, of another length, or with unknown label numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise DataFileError(f"{path} is not there.", path)
    size = path.stat().st_size
    if size == 0 or size % 4:
        raise DataFileError(f"{path} has {size} bytes, which is no positive number of uint32: it is truncated.", path)
    if count is not None and size != 4 * count:
        raise DataFileError(f"{path} has {size // 4} labels and its scan {count} points.", path)
    packed = np.fromfile(path, dtype="<u4")
    labels = (packed & 0xFFFF).astype(np.int64)
    check_known(labels, LABEL_NAMES, path)
    return labels, (packed >> 16).astype(np.int64)


def write_labels(path: str | Path, labels: NDArray[np.integer], instances: NDArray[np.integer] | None = None) -> None:
    """Writes a ``.label`` file; predictions for the benchmark are written so too, from :func:`to_label_numbers`.

    Args:
        path: the file.
        labels: (P,) in SemanticKITTI's numbers.
        instances: (P,) 0 to 65535; 0 by default.

    Raises:
        DataFileError: unknown label numbers, instances that do not fit, or another count of them.
    """
    path = Path(path)
    check_known(labels, LABEL_NAMES, path)
    instances = np.zeros_like(labels) if instances is None else instances
    if len(instances) != len(labels) or (len(labels) and not 0 <= instances.min() <= instances.max() < 2**16):
        raise DataFileError(f"{path}: expected {len(labels)} instances in 0 to 65535, a label each.", path)
    packed = labels.astype(np.uint32) | (instances.astype(np.uint32) << np.uint32(16))
    write_atomically(path, packed.astype("<u4").tobytes())


def write_semantickitti(root: str | Path, sequence: str, frames: Sequence[LidarFrame]) -> None:
    """Writes a sequence: scans 000000 on, labels where frames have them, poses and times where all have them.

    Coordinates of the camera and the LiDAR are one in what is written: ``Tr`` in calib.txt is the identity, so that poses
    are read back exactly.

    Raises:
        DataFileError: other columns, or a frame that :func:`spikevox.tasks.datasets.frame.check_frame` refuses.
    """
    folder = Path(root) / "sequences" / sequence
    for scan, frame in enumerate(frames):
        path = folder / "velodyne" / f"{scan:06d}.bin"
        if frame.columns != COLUMNS:
            raise DataFileError(f"{path}: expected the columns {COLUMNS}, got {frame.columns}.", path)
        check_frame(frame)
        if frame.labels is not None:
            write_labels(folder / "labels" / f"{scan:06d}.label", frame.labels, frame.instances)
        write_atomically(path, np.ascontiguousarray(frame.points, dtype="<f4").tobytes())
    identity = write_numbers(np.eye(4)[:3])
    names = ("P0", "P1", "P2", "P3", "Tr")
    write_atomically(folder / "calib.txt", "".join(f"{name}: {identity}\n" for name in names).encode())
    poses = [frame.pose for frame in frames if frame.pose is not None]
    if poses and len(poses) == len(frames):
        text = "".join(f"{write_numbers(pose[:3])}\n" for pose in poses)
        write_atomically(folder / "poses.txt", text.encode())
    times = [frame.time for frame in frames if frame.time is not None]
    if times and len(times) == len(frames):
        write_atomically(folder / "times.txt", "".join(f"{float(time)!r}\n" for time in times).encode())
