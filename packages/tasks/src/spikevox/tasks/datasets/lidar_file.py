"""What the LiDAR data sets share: the sight that a pre-flight has of them, files that lie beside each other, numbers."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.frame import LidarFrame
from spikevox.tasks.errors import DataFileError


class LidarDataset(Protocol):
    """A data set of LiDAR frames as its readers offer it.

    Attributes:
        name: of the data set and its part, for reports.
        frames: names of the frames, in order.
        label_names: number of each point label to its name; empty where points have none.
    """

    name: str
    frames: tuple[str, ...]
    label_names: Mapping[int, str]

    def __len__(self) -> int:
        """Number of frames."""
        ...

    def frame(self, index: int) -> LidarFrame:
        """One frame, checked."""
        ...

    def strays(self) -> list[str]:
        """A line for each file that belongs to no frame."""
        ...


def pick(index: int, frames: Sequence[str]) -> str:
    """The frame's name.

    Raises:
        IndexError: an index outside ``[0, len(frames))``.
    """
    if not 0 <= index < len(frames):
        raise IndexError(f"frame {index} of {len(frames)}.")
    return frames[index]


def strays(folder: Path, suffix: str, known: Iterable[str], partner: Path) -> list[str]:
    """A line for each file of a folder that no frame is read from: of another ending, or of a name not in ``known``."""
    if not folder.is_dir():
        return []
    names = set(known)
    found = []
    for path in sorted(folder.iterdir()):
        stem = path.name.removesuffix(suffix)
        if not path.name.endswith(suffix):
            found.append(f"{path}: expected names that end in {suffix}; move it elsewhere or rename it.")
        elif stem not in names:
            found.append(f"{path} has no partner in {partner}; remove it or bring the partner back.")
    return found


def check_known(labels: NDArray[np.integer], known: Mapping[int, str], path: Path) -> None:
    """Raises DataFileError for label numbers that the data set does not define."""
    numbers, counts = np.unique(labels, return_counts=True)
    unknown = [(int(n), int(c)) for n, c in zip(numbers, counts, strict=True) if int(n) not in known]
    if unknown:
        listed = ", ".join(f"{number} ({count} points)" for number, count in unknown[:5])
        raise DataFileError(
            f"{path}: unknown label numbers {listed}; known are {min(known)} to {max(known)} as documented.", path
        )


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        DataFileError: a file that is missing, empty, or no text.
    """
    if not path.is_file():
        raise DataFileError(f"{path} is not there.", path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataFileError(f"{path} is no text ({error}).", path) from error
    return text


def numbers(words: Sequence[str], count: int, path: Path, row: int) -> NDArray[np.float64]:
    """The words of a row (numbered from 1) as ``count`` finite numbers.

    Raises:
        DataFileError: another count, or words that are no finite numbers.
    """
    if len(words) != count:
        raise DataFileError(f"{path}, row {row}: expected {count} numbers, got {len(words)}.", path)
    try:
        values = np.array([float(word) for word in words])
    except ValueError as error:
        raise DataFileError(f"{path}, row {row}: {error}.", path) from error
    if not np.isfinite(values).all():
        raise DataFileError(f"{path}, row {row}: NaN or infinite numbers.", path)
    return values


def write_numbers(values: NDArray[np.floating]) -> str:
    """Numbers in a row with as many digits as reading them back exactly takes."""
    return " ".join(repr(float(value)) for value in np.asarray(values).ravel())


def homogeneous(matrix: NDArray[np.floating]) -> NDArray[np.float64]:
    """(4, 4) float64 of a (3, 3) rotation or a (3, 4) motion."""
    result = np.eye(4)
    result[: matrix.shape[0], : matrix.shape[1]] = matrix
    return result
