"""The classical yardstick: a forest on hand-made features of the same points."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from spikevox.tasks.datasets.base import PointDataset


class Baseline(NamedTuple):
    """Result of the forest.

    Attributes:
        trees: of the forest.
        features: the feature set that validation chose.
        validation: accuracy on the validation split, by feature set.
        accuracy: on the test split, trained on training and validation.
    """

    trees: int
    features: str
    validation: dict[str, float]
    accuracy: float

    def figures(self) -> dict[str, Any]:
        """Figures as JSON types."""
        return self._asdict()

    def table(self) -> str:
        """Figures as text."""
        lines = [f"forest of {self.trees} trees on {self.features}: accuracy {self.accuracy:.4f}"]
        return "\n".join([*lines, *(f"  {name}: {value:.4f} on validation" for name, value in self.validation.items())])


def occupancy(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """Share of the points in each cell of an 8x8x8 grid over the cloud's box: (512,)."""
    low, high = points.min(axis=0), points.max(axis=0)
    cells = np.minimum(((points - low) / np.maximum(high - low, 1e-9) * 8).astype(int), 7)
    index = (cells[:, 0] * 8 + cells[:, 1]) * 8 + cells[:, 2]
    return (np.bincount(index, minlength=512) / len(points)).astype(np.float32)


def shape_distribution(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """Histograms of pair distances (D2, Osada et al. 2002), heights and distances from the axis: (96,)."""
    pairs = np.random.default_rng(0).integers(0, len(points), (2, 2048))
    distance = np.linalg.norm(points[pairs[0]] - points[pairs[1]], axis=1)
    centred = points - points.mean(axis=0)
    radius = np.linalg.norm(centred[:, :2], axis=1)
    parts = [(distance, (0, 3)), (centred[:, 2], (-1.5, 1.5)), (radius, (0, 1.5))]
    return np.concatenate([np.histogram(v, 32, r)[0] / len(v) for v, r in parts]).astype(np.float32)


def moments(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """Principal extents, extents of the box, and quantiles of height and distance from the axis: (28,)."""
    centred = points - points.mean(axis=0)
    principal = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(centred.T)), 0))
    radius = np.linalg.norm(centred[:, :2], axis=1)
    steps = np.linspace(0, 1, 11)
    quantiles = [np.quantile(centred[:, 2], steps), np.quantile(radius, steps)]
    return np.concatenate([principal, np.ptp(points, axis=0), *quantiles]).astype(np.float32)


FEATURES: dict[str, Callable[[NDArray[np.floating]], NDArray[np.float32]]] = {
    "occupancy": occupancy,
    "shape_distribution": shape_distribution,
    "moments": moments,
}


def forest_baseline(
    train: PointDataset, validation: PointDataset, test: PointDataset, *, trees: int = 500, seed: int = 0
) -> Baseline:
    """Accuracy of the better of three feature sets, chosen on the validation split and trained on all the rest.

    Args:
        train: training split; its random transforms are not used.
        validation: validation split, chooses the features and then joins the training.
        test: test split.
        trees: of the forest.
        seed: of the forest.
    """
    scores = {}
    tables = {}
    for name, feature in FEATURES.items():
        tables[name] = [
            np.stack([feature(split.read(i)[0]) for i in range(len(split))]) for split in (train, validation, test)
        ]
        forest = RandomForestClassifier(trees, random_state=seed, n_jobs=-1).fit(tables[name][0], train.labels())
        scores[name] = float(forest.score(tables[name][1], validation.labels()))
    best = max(scores, key=lambda name: scores[name])
    fit, val, final = tables[best]
    forest = RandomForestClassifier(trees, random_state=seed, n_jobs=-1)
    forest.fit(np.concatenate([fit, val]), np.concatenate([train.labels(), validation.labels()]))
    return Baseline(trees, best, scores, float(forest.score(final, test.labels())))
