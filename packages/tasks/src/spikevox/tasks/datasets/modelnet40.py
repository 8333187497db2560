"""ModelNet in the layout of ``modelnet40_normal_resampled``: lists of names, and a text file a shape."""

import hashlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.atomic import write_array
from spikevox.tasks.datasets.base import PointDataset, check_split, data_folder
from spikevox.tasks.datasets.modelnet import SPLITS, split_rows
from spikevox.tasks.datasets.points import read_points
from spikevox.tasks.datasets.sampling import farthest_points
from spikevox.tasks.errors import ConfigError, DataFileError

LOGGER = logging.getLogger("spikevox")
COLUMNS = ("x", "y", "z", "normal_x", "normal_y", "normal_z")


class ModelNetResampled(PointDataset):
    """``modelnet40_normal_resampled`` (Qi et al., 2017): 10,000 points with normals a shape, 40 classes or 10 of them.

    The folder holds ``modelnet40_shape_names.txt``, ``modelnet40_train.txt``, ``modelnet40_test.txt`` (and the same for
    ``modelnet10``) and ``CLASS/NAME.txt`` with rows ``x,y,z,nx,ny,nz``. Of each shape the points that farthest-point
    sampling over xyz chooses are kept; they are stored once in a folder beside the shapes, as choosing takes a quarter of
    a second.

    Args:
        split: ``"train"``, ``"val"`` (the last tenth of each class of the training list), ``"train+val"`` or ``"test"``.
        points: points a shape; 10,000 takes the file as it is.
        classes: 40 or 10.
        data_root: the folder, by default ``modelnet40_normal_resampled`` in the data folder.
        **options: see :class:`PointDataset`; columns are xyz and normals.

    Raises:
        DataFileError: a list or a shape that is missing, or of another form.
    """

    def __init__(
        self,
        split: str = "train",
        *,
        points: int = 8192,
        classes: int = 40,
        data_root: str | Path | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**{"columns": COLUMNS, **options})
        check_split(split, SPLITS)
        if classes not in (10, 40):
            raise ConfigError(f"classes must be 10 or 40, got {classes}.")
        if points < 1:
            raise ConfigError(f"points must be at least 1, got {points}.")
        self.split, self.points, self.name = split, points, f"ModelNet{classes}"
        self._root = data_folder("modelnet40_normal_resampled") if data_root is None else Path(data_root)
        self.class_names = tuple(_lines(self._root / f"modelnet{classes}_shape_names.txt"))
        listed = self._root / f"modelnet{classes}_{'test' if split == 'test' else 'train'}.txt"
        lines = _lines(listed)
        names, labels = np.array(lines), np.array([self._label(name, listed) for name in lines])
        train, val = split_rows(labels, names)
        rows = {"train": train, "val": val}.get(split, np.ones(len(labels), dtype=bool))
        self._names, self._labels = names[rows], labels[rows]

    def _label(self, name: str, listed: Path) -> int:
        """``night_stand_0001`` -> the place of ``night_stand``."""
        known = name.rpartition("_")[0]
        if known not in self.class_names:
            raise DataFileError(f"{listed}: {name!r} belongs to no class of {', '.join(self.class_names)}.", listed)
        return self.class_names.index(known)

    def __len__(self) -> int:
        return len(self._labels)

    def labels(self) -> NDArray[np.int64]:
        """(len,) class of each shape."""
        return self._labels

    def read(self, index: int) -> tuple[NDArray[np.floating], int | None, str]:
        """Points (points, 6): xyz and normals, class and name."""
        name, label = str(self._names[index]), int(self._labels[index])
        path = self._root / self.class_names[label] / f"{name}.txt"
        stored = self._root / f"farthest_{self.points}" / f"{name}.npy"
        if stored.is_file():
            points = read_points(stored).points
            if len(points) == self.points:
                return points, label, name
        points = self._choose(path)
        self._store(stored, points)
        return points, label, name

    def _choose(self, path: Path) -> NDArray[np.float32]:
        points = read_points(path).points
        if points.shape[1] != len(COLUMNS) or len(points) < self.points:
            raise DataFileError(
                f"{path}: expected at least {self.points} rows of x,y,z,nx,ny,nz, got shape {points.shape}.", path
            )
        return points if len(points) == self.points else points[farthest_points(points[:, :3], self.points)]

    def _store(self, path: Path, points: NDArray[np.float32]) -> None:
        try:
            write_array(path, points)
        except OSError as error:
            LOGGER.warning(
                "%s cannot be written (%s): points are chosen anew in each epoch, a quarter of a second a shape",
                path.parent,
                error,
            )

    def data_hash(self) -> str:
        """SHA-256 of the names in order, as they are listed."""
        return hashlib.sha256("\n".join(self._names).encode()).hexdigest()


def _lines(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataFileError(
            f"{path} cannot be read ({error}). Set the data folder with --data DIR or the environment variable "
            "SPIKEVOX_DATA.",
            path,
        ) from error
    if not lines:
        raise DataFileError(f"{path} is empty.", path)
    return lines
