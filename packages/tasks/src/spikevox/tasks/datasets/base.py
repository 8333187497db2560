"""What all data sets share: from points to voxels, the same sample for the same seed, epoch and index."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from spikevox.encoding import VoxelGrid, Voxels, collate, voxelize
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.transforms import build_transform


class PointPipeline:
    """Transforms and voxelisation of one cloud.

    Args:
        grid: a VoxelGrid, or its arguments as a dict.
        columns: columns of the points that come in.
        features: see :func:`spikevox.encoding.voxelize`.
        reduce: see :func:`spikevox.encoding.voxelize`.
        transforms: applied in order; transforms or ``dict(type=..., ...)``.
        random_margin: for training on grids with ``origin="minimum"``: the grid's corner lies below the cloud's minimum
            by up to this many voxels, uniform on each axis, so that a shape is seen in all phases of the grid.

    Raises:
        ConfigError: a negative margin, or one on a grid whose origin is absolute.
    """

    def __init__(
        self,
        *,
        grid: VoxelGrid | dict[str, Any],
        columns: Sequence[str] = ("x", "y", "z"),
        features: Sequence[str] = ("xyz",),
        reduce: str = "first",
        transforms: Sequence[Any] = (),
        random_margin: float = 0.0,
    ) -> None:
        self.grid = grid if isinstance(grid, VoxelGrid) else VoxelGrid(**grid)
        self.columns = tuple(columns)
        self.features = tuple(features)
        self.reduce: Any = reduce
        self.transforms = [build_transform(t) for t in transforms]
        if not 0 <= random_margin < 2**20 or (random_margin and self.grid.origin != "minimum"):
            raise ConfigError(
                f"random_margin is a number of voxels from 0 on and needs a grid with origin='minimum', got {random_margin} "
                f"with origin={self.grid.origin!r}."
            )
        self.random_margin = random_margin

    def __call__(
        self,
        points: NDArray[np.floating],
        generator: np.random.Generator,
        *,
        label: int | None = None,
        source: str = "point cloud",
    ) -> Voxels:
        """Voxels of one cloud (P, len(columns))."""
        for transform in self.transforms:
            points = transform(points, self.columns, generator)
        return self.voxelize(points, generator, label=label, source=source)

    def transform(
        self, points: NDArray[np.floating], labels: NDArray[np.int64], generator: np.random.Generator
    ) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
        """Transformed points (P, len(columns)) and their labels (P,), of which a transform may drop some."""
        if not self.transforms:
            return points, labels
        # One more column, exact below 2^24 also in float32: labels go where their points go.
        table = np.column_stack([points, labels.astype(points.dtype)])
        for transform in self.transforms:
            table = transform(table, (*self.columns, "label"), generator)
        return table[:, :-1], table[:, -1].astype(np.int64)

    def voxelize(
        self,
        points: NDArray[np.floating],
        generator: np.random.Generator,
        *,
        label: int | None = None,
        labels: NDArray[np.int64] | None = None,
        reduce: str | None = None,
        source: str = "point cloud",
    ) -> Voxels:
        """Voxels of transformed points (P, len(columns)), with labels (P,) where they have them."""
        margin = tuple(generator.uniform(0, self.random_margin, 3)) if self.random_margin else None
        return voxelize(
            points,
            self.grid,
            columns=self.columns,
            features=self.features,
            reduce=self.reduce if reduce is None else reduce,  # type: ignore[arg-type]
            generator=generator,
            label=label,
            labels=labels,
            margin=margin,
            source=source,
        )

    def settings(self) -> dict[str, Any]:
        """What a trained network expects of its input, as JSON types: what is random is left out."""
        kept = [{"type": type(t).__name__, **asdict(t)} for t in self.transforms if not t.augments]  # type: ignore[call-overload]
        return {
            "grid": {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self.grid).items()},
            "columns": list(self.columns),
            "features": list(self.features),
            "reduce": self.reduce,
            "transforms": kept,
        }


class VoxelDataset(Dataset[Voxels]):
    """Base of all data sets of clouds that become voxels.

    Everything random in a sample is drawn from a generator of (seed, epoch, index) alone, so that neither workers nor a
    resumed run change it.

    Args:
        seed: of the samples' random transforms.
        **pipeline: see :class:`PointPipeline`.

    Attributes:
        name: that of the class, where a subclass does not choose another.
        class_names: names of the classes.
        training_batch: makes a batch of samples for a step of training.
        validation_batch: makes a batch of samples for validation.
    """

    name: str = ""
    class_names: tuple[str, ...] = ()
    training_batch: Callable[[Any], Any] = staticmethod(collate)
    validation_batch: Callable[[Any], Any] = staticmethod(collate)

    def __init__(self, *, seed: int = 0, **pipeline: Any) -> None:
        self.seed = seed
        self.name = type(self).__name__
        self.pipeline = PointPipeline(**pipeline)

    @property
    def metainfo(self) -> dict[str, Any]:
        """Class names under the key that mmengine reads."""
        return {"classes": self.class_names}

    @property
    def metric_options(self) -> dict[str, Any]:
        """What the metric of a validation is built with."""
        return {"num_classes": len(self.class_names)}

    def __len__(self) -> int:
        raise NotImplementedError

    def _draw(self, key: int | tuple[int, int]) -> tuple[int, np.random.Generator]:
        """Index and generator of a sample; ``key`` is an index, or (index, epoch)."""
        index, epoch = key if isinstance(key, tuple) else (key, 0)
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}.")
        return index, np.random.default_rng([self.seed, epoch, index])


class PointDataset(VoxelDataset):
    """Base of data sets of labelled clouds.

    A subclass sets ``class_names``, and ``name`` where that of the class is not enough, and defines ``__len__`` and
    ``read``.

    Args:
        **options: see :class:`VoxelDataset`.
    """

    def read(self, index: int) -> tuple[NDArray[np.floating], int | None, str]:
        """Points (P, columns), class and name of one sample."""
        raise NotImplementedError

    def __getitem__(self, key: int | tuple[int, int]) -> Voxels:
        """One sample; ``key`` is an index, or (index, epoch) to draw the epoch's random transforms."""
        index, generator = self._draw(key)
        points, label, source = self.read(index)
        return self.pipeline(points, generator, label=label, source=source)

    def labels(self) -> NDArray[np.int64]:
        """(len,) class of each sample."""
        raise NotImplementedError


def data_folder(name: str) -> Path:
    """A data set's folder: ``name`` in the folder that SPIKEVOX_DATA names, ``./data`` by default."""
    return Path(os.environ.get("SPIKEVOX_DATA", "data")) / name


def check_split(split: str, known: Sequence[str]) -> None:
    """Raises ConfigError for a split that a data set does not have."""
    if split not in known:
        raise ConfigError(f"unknown split {split!r}; there are {', '.join(known)}.")
