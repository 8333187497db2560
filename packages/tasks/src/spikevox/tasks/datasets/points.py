"""Points from a file, whatever its format."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.mesh_file import read_off, read_ply
from spikevox.tasks.errors import DataFileError


class PointFile(NamedTuple):
    """Points of one file.

    Attributes:
        points: (P, C) float32.
        columns: names of the C columns, beginning with x, y, z.
        source: the file's path.
    """

    points: NDArray[np.float32]
    columns: tuple[str, ...]
    source: str


_COLUMNS = {
    3: ("x", "y", "z"),
    4: ("x", "y", "z", "intensity"),
    5: ("x", "y", "z", "intensity", "ring"),
    6: ("x", "y", "z", "normal_x", "normal_y", "normal_z"),
}


def read_points(path: str | Path) -> PointFile:
    """Reads a cloud.

    ``.npy`` (P, 3 to 6); ``.npz`` with ``points``, or PandaSet's ``xyz_cm`` and ``intensity``; ``.txt``, ``.xyz``,
    ``.csv``; ``.bin`` of KITTI and SemanticKITTI (x, y, z, intensity as float32); ``.pcd.bin`` of nuScenes (x, y, z,
    intensity, ring); ``.ply``; ``.off`` (its vertices). Six columns of a table are coordinates and normals.

    Raises:
        DataFileError: a file that is missing, empty, truncated, or of another form than its name says.
    """
    path = Path(path)
    if not path.is_file():
        raise DataFileError(f"{path} is not there.", path)
    if path.stat().st_size == 0:
        raise DataFileError(f"{path} is empty (0 bytes).", path)
    reader = _reader(path)
    try:
        points, columns = reader(path)
    except DataFileError:
        raise
    except (ValueError, OSError, EOFError, KeyError, BadZipFile) as error:
        raise DataFileError(
            f"{path} cannot be read ({error}); it may be truncated or of another format.", path
        ) from error
    return PointFile(np.ascontiguousarray(points, dtype=np.float32), columns, str(path))


def _reader(path: Path) -> Callable[[Path], tuple[NDArray[np.floating], tuple[str, ...]]]:
    if path.name.endswith(".pcd.bin"):
        return lambda p: _floats(p, 5)
    readers = {
        ".npy": lambda p: _table(np.load(p, allow_pickle=False), p),
        ".npz": _archive,
        ".txt": _text,
        ".xyz": _text,
        ".csv": _text,
        ".bin": lambda p: _floats(p, 4),
        ".ply": read_ply,
        ".off": read_off,
    }
    if path.suffix.lower() not in readers:
        raise DataFileError(f"{path}: unknown format; there are {', '.join(readers)} and .pcd.bin.", path)
    return readers[path.suffix.lower()]


def _table(array: NDArray[np.generic], path: Path) -> tuple[NDArray[np.floating], tuple[str, ...]]:
    if array.ndim != 2 or array.shape[1] not in _COLUMNS or array.dtype.kind not in "fiu":
        raise DataFileError(
            f"{path}: expected a table of 3 to 6 columns of numbers, got shape {array.shape} and dtype {array.dtype}.",
            path,
        )
    return array.astype(np.float32), _COLUMNS[array.shape[1]]


def _text(path: Path) -> tuple[NDArray[np.floating], tuple[str, ...]]:
    with path.open(encoding="utf-8") as file:
        comma = "," in file.readline()
    return _table(np.loadtxt(path, delimiter="," if comma else None, ndmin=2, dtype=np.float32), path)


def _floats(path: Path, columns: int) -> tuple[NDArray[np.floating], tuple[str, ...]]:
    size = path.stat().st_size
    if size % (4 * columns):
        raise DataFileError(
            f"{path} has {size} bytes, which is no whole number of points of {columns} float32: it is truncated, or of "
            "another format.",
            path,
        )
    return np.fromfile(path, dtype="<f4").reshape(-1, columns), _COLUMNS[columns]


def _archive(path: Path) -> tuple[NDArray[np.floating], tuple[str, ...]]:
    # Opened here, because np.load leaves a damaged archive open.
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        if "xyz_cm" in file:
            xyz = file["xyz_cm"].astype(np.float32) / 100
            return np.column_stack([xyz, file["intensity"].astype(np.float32)]), _COLUMNS[4]
        if "points" in file:
            return _table(file["points"], path)
        raise DataFileError(f"{path}: expected an array 'points' or 'xyz_cm', got {sorted(file)}.", path)
