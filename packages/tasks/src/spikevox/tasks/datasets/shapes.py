"""Ten classes of shapes, made on the spot and seen as a LiDAR would: a data set that needs no download."""

import hashlib
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets import furniture, solids
from spikevox.tasks.datasets.base import PointDataset, check_split
from spikevox.tasks.datasets.scan import Scanner

SHAPES = {
    "ellipsoid": solids.ellipsoid,
    "box": solids.box,
    "cylinder": solids.cylinder,
    "cone": solids.cone,
    "pyramid": solids.pyramid,
    "torus": solids.torus,
    "table": furniture.table,
    "chair": furniture.chair,
    "stairs": furniture.stairs,
    "helix": solids.helix,
}
SPLITS = ("train", "val", "test", "train+val")
_SURFACE_POINTS = 5000


@cache
def make_shapes(split: str, count: int, seed: int, scanner: Scanner) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Points (count, scanner.points, 3) and classes (count,), balanced, a function of the arguments alone."""
    labels = np.arange(count) % len(SHAPES)
    makers = list(SHAPES.values())
    clouds = np.empty((count, scanner.points, 3), dtype=np.float32)
    for index, label in enumerate(labels):
        generator = np.random.default_rng([seed, SPLITS.index(split), index])
        clouds[index] = scanner.view(makers[label](generator, _SURFACE_POINTS), generator)
    clouds.flags.writeable = False
    return clouds, labels


class GeneratedShapes(PointDataset):
    """Views of generated shapes; splits are drawn from different streams of random numbers.

    Args:
        split: ``"train"``, ``"val"``, ``"test"`` or ``"train+val"``.
        count: shapes of the split (of ``"train"`` for ``"train+val"``).
        val_count: shapes of the validation part of ``"train+val"``.
        shape_seed: of the shapes; ``seed`` is that of random transforms.
        scanner: how shapes are seen, a Scanner or its arguments as a dict.
        **options: see :class:`PointDataset`.
    """

    class_names = tuple(SHAPES)

    def __init__(
        self,
        split: str = "train",
        *,
        count: int = 3000,
        val_count: int = 500,
        shape_seed: int = 0,
        scanner: Scanner | dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_split(split, SPLITS)
        self.split = split
        view = scanner if isinstance(scanner, Scanner) else Scanner(**(scanner or {}))
        if split == "train+val":
            parts = [make_shapes("train", count, shape_seed, view), make_shapes("val", val_count, shape_seed, view)]
            self._points = np.concatenate([points for points, _ in parts])
            self._labels = np.concatenate([labels for _, labels in parts])
        else:
            self._points, self._labels = make_shapes(split, count, shape_seed, view)

    def __len__(self) -> int:
        return len(self._points)

    def read(self, index: int) -> tuple[NDArray[np.floating], int | None, str]:
        """Points (P, 3), class and name of one shape."""
        label = int(self._labels[index])
        return self._points[index], label, f"{self.split}/{self.class_names[label]}_{index:05d}"

    def labels(self) -> NDArray[np.int64]:
        """(len,) class of each shape."""
        return self._labels

    def data_hash(self) -> str:
        """SHA-256 of all points and labels: equal where the generator made the same."""
        digest = hashlib.sha256(self._points.tobytes())
        digest.update(self._labels.astype("<i8").tobytes())
        return digest.hexdigest()
