"""Pre-flight: reads every cloud of a folder once and lists what is wrong."""

from pathlib import Path

import numpy as np

from spikevox.tasks.datasets.points import read_points
from spikevox.tasks.errors import DataFileError

_FORMATS = (".npy", ".npz", ".txt", ".xyz", ".csv", ".bin", ".ply", ".off")


def check_folder(folder: str | Path) -> tuple[list[str], int]:
    """Findings, a line each, and the number of files read.

    Raises:
        DataFileError: the folder is not there or holds no cloud.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataFileError(f"{root} is no folder.", root)
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in _FORMATS)
    if not files:
        raise DataFileError(f"{root} holds no cloud; known formats are {', '.join(_FORMATS)}.", root)
    return [finding for path in files if (finding := _check(path))], len(files)


def _check(path: Path) -> str | None:
    try:
        points = read_points(path).points
    except DataFileError as error:
        return str(error)
    if len(points) == 0:
        return f"{path} holds no points."
    wrong = int((~np.isfinite(points)).any(axis=1).sum())
    return f"{path}: {wrong} of {len(points)} points have NaN or infinite values." if wrong else None
