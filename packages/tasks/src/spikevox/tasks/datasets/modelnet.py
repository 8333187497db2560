"""ModelNet as two npz files of quantised surface points."""

from math import ceil
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.base import PointDataset, check_split, data_folder
from spikevox.tasks.errors import ConfigError, DataFileError

SPLITS = ("train", "val", "train+val", "test")
_KEYS = ("points_q", "label", "name", "classes")


def split_rows(
    labels: NDArray[np.integer], names: NDArray[np.str_], *, train_share: float = 0.9, val_share: float = 0.1
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks for training and validation: the first and the last names of each class, in order.

    The share of training is rounded up, that of validation down. A random choice would validate on shapes much easier than
    the test split: neighbouring names are often near-copies.

    Raises:
        ConfigError: shares outside [0, 1], or that overlap.
    """
    # Decimal shares such as 0.9 + 0.1 may add up to a little more than 1.
    if min(train_share, val_share) < 0 or train_share + val_share > 1 + 1e-9:
        raise ConfigError(
            f"train_share and val_share must not overlap within [0, 1], got {train_share} and {val_share}."
        )
    train, val = np.zeros((2, len(labels)), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        rows = rows[np.argsort(names[rows], kind="stable")]
        first_of_val = len(rows) - int(len(rows) * val_share + 1e-9)
        train[rows[: min(first_of_val, ceil(len(rows) * train_share - 1e-9))]] = True
        val[rows[first_of_val:]] = True
    return train, val


class ModelNet(PointDataset):
    """ModelNet10 or 40 from ``train.npz`` and ``test.npz``: points_q (int16), label, name, classes.

    :func:`spikevox.tasks.datasets.prepare_modelnet` makes them from the published archives.

    Args:
        split: ``"train"`` and ``"val"`` are the first and last names of each class of the training file, ``"train+val"`` is
            all of it, ``"test"`` the test file.
        train_share: share of the training file that ``"train"`` takes.
        val_share: share of the training file that ``"val"`` takes.
        name: of the data set, ``"ModelNet10"`` or ``"ModelNet40"``.
        data_root: folder with the two files, by default the name in lower case in the data folder.
        **options: see :class:`PointDataset`.

    Raises:
        DataFileError: a file that is missing, truncated or of another form.
    """

    def __init__(
        self,
        split: str = "train",
        *,
        train_share: float = 0.9,
        val_share: float = 0.1,
        name: str = "ModelNet10",
        data_root: str | Path | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_split(split, SPLITS)
        self.split, self.name = split, name
        root = data_folder(name.lower()) if data_root is None else Path(data_root)
        path = root / ("test.npz" if split == "test" else "train.npz")
        arrays = _load(path)
        labels, names = arrays["label"].astype(np.int64), arrays["name"]
        train, val = split_rows(labels, names, train_share=train_share, val_share=val_share)
        rows = {"train": train, "val": val}.get(split, np.ones(len(labels), dtype=bool))
        self.class_names = tuple(str(name) for name in arrays["classes"])
        self._points = arrays["points_q"][rows]
        self._labels, self._names = labels[rows], names[rows]

    def __len__(self) -> int:
        return len(self._labels)

    def read(self, index: int) -> tuple[NDArray[np.floating], int | None, str]:
        """Points (P, 3) in units of the shape's largest half extent, class and name."""
        points = self._points[index].astype(np.float32) / 32767
        return points, int(self._labels[index]), str(self._names[index])

    def labels(self) -> NDArray[np.int64]:
        """(len,) class of each shape."""
        return self._labels


def _load(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise DataFileError(
            f"{path} is not there. Set the data folder with --data DIR or the environment variable SPIKEVOX_DATA.", path
        )
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {key: file[key] for key in _KEYS if key in file}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataFileError(
            f"{path} cannot be read as npz ({error}); it may be truncated. Fetch it again.", path
        ) from error
    missing = [key for key in _KEYS if key not in arrays]
    if missing:
        raise DataFileError(f"{path} lacks the arrays {missing}; expected {list(_KEYS)}.", path)
    lengths = {key: len(arrays[key]) for key in ("points_q", "label", "name")}
    if len(set(lengths.values())) != 1:
        raise DataFileError(f"{path}: arrays differ in length: {lengths}.", path)
    return arrays
