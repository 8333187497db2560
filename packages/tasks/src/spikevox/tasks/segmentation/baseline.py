"""The classical yardstick: a forest that labels voxels by hand-made features of their surroundings at two scales."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KDTree

from spikevox.encoding import Voxels
from spikevox.tasks.datasets.base import PointPipeline
from spikevox.tasks.datasets.segmentation import SegmentationDataset
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.segmentation.inference import most_likely, point_scores
from spikevox.tasks.segmentation.metric import SegmentationResult, count_pairs, segmentation_result

SCALES = (12, 48)  # neighbours
COORDINATES = {"frame": "in the frame's own coordinates", "world": "in the world"}
COLUMN = 2.0  # metres, edge of the columns of air that heights are taken in


class PointForest(NamedTuple):
    """Result of the forest.

    Attributes:
        trees: of the forest.
        features: the feature set that validation chose.
        validation: mIoU on the points of the validation clouds, by feature set.
        result: on the test split, trained on training and validation.
    """

    trees: int
    features: str
    validation: dict[str, float]
    result: SegmentationResult


class PointBaseline(NamedTuple):
    """What needs no network.

    Attributes:
        forest: a forest on hand-made features.
        memory: what :func:`copy_nearest` reaches, by coordinates.
        class_names: of the test split.
    """

    forest: PointForest
    memory: dict[str, SegmentationResult]
    class_names: tuple[str, ...]

    def figures(self) -> dict[str, Any]:
        """Figures as JSON types."""
        chosen = {key: getattr(self.forest, key) for key in ("trees", "features", "validation")}
        return {
            "forest": {**chosen, **self.forest.result.figures(self.class_names)},
            "memory": {place: result.figures(self.class_names) for place, result in self.memory.items()},
        }

    def table(self) -> str:
        """Figures as text."""
        trees, features, validation, result = self.forest
        lines = [f"forest of {trees} trees on {features}: mIoU {result.miou:.4f}, accuracy {result.accuracy:.4f}"]
        lines += [f"  {name}: mIoU {value:.4f} on validation" for name, value in validation.items()]
        lines += [
            f"labels of the nearest training point, {COORDINATES[place]}: mIoU {copied.miou:.4f}, "
            f"accuracy {copied.accuracy:.4f}"
            for place, copied in self.memory.items()
        ]
        return "\n".join(lines)


def heights(
    xyz: NDArray[np.float64], values: NDArray[np.float64], rows: NDArray[np.integer] | None = None
) -> NDArray[np.float32]:
    """Height, that above the lowest and below the highest voxel of its column, distance from the origin, and ``values``.

    Args:
        xyz: (V, 3) mean of the points of each voxel, in metres.
        values: (V, K) further values of each voxel, such as intensity and number of points.
        rows: (R,) voxels that are asked for, all V by default.

    Returns:
        (R, 4 + K).
    """
    rows = np.arange(len(xyz)) if rows is None else rows
    _, column = np.unique(np.floor(xyz[:, :2] / COLUMN), axis=0, return_inverse=True)
    low, high = np.full(len(xyz), np.inf), np.full(len(xyz), -np.inf)
    np.minimum.at(low, column, xyz[:, 2])
    np.maximum.at(high, column, xyz[:, 2])
    z, column = xyz[rows, 2], column[rows]
    parts = [z, z - low[column], high[column] - z, np.linalg.norm(xyz[rows, :2], axis=1), *values[rows].T]
    return np.column_stack(parts).astype(np.float32)


def surroundings(
    xyz: NDArray[np.float64], values: NDArray[np.float64], rows: NDArray[np.integer] | None = None
) -> NDArray[np.float32]:
    """Form of the 12 and the 48 nearest voxels (Weinmann et al. 2015), and the means of their ``values``.

    Of each scale: distance of the last one, linearity, planarity, scattering, variance, upright share of the normal, height
    above the lowest and below the highest of them.

    Args:
        xyz: as for :func:`heights`.
        values: as for :func:`heights`.
        rows: as for :func:`heights`.

    Returns:
        (R, 2 (8 + K)).
    """
    tree = KDTree(xyz)
    asked = xyz if rows is None else xyz[rows]
    parts: list[NDArray[np.float64]] = []
    for scale in SCALES:
        distance, near = tree.query(asked, min(scale, len(xyz)))
        centred = xyz[near] - xyz[near].mean(axis=1, keepdims=True)
        spread, axes = np.linalg.eigh(np.einsum("nki,nkj->nij", centred, centred) / near.shape[1])
        total = np.maximum(spread.sum(axis=1), 1e-12)
        z = xyz[near][..., 2]
        parts += [
            distance[:, -1],
            (spread[:, 2] - spread[:, 1]) / total,
            (spread[:, 1] - spread[:, 0]) / total,
            spread[:, 0] / total,
            total,
            np.abs(axes[:, 2, 0]),
            asked[:, 2] - z.min(axis=1),
            z.max(axis=1) - asked[:, 2],
            *values[near].mean(axis=1).T,
        ]
    return np.column_stack(parts).astype(np.float32)


FEATURES = ("heights", "surroundings", "both")


class _Sample(NamedTuple):
    """Labelled voxels of a cloud in random order, with their features by feature set."""

    tables: dict[str, NDArray[np.float32]]
    labels: NDArray[np.int64]


class _Cloud(NamedTuple):
    """Voxels of a cloud with the mean of their points and further values, and what leads back to the points."""

    voxels: Voxels
    mean: NDArray[np.float64]
    values: NDArray[np.float64]
    xyz: NDArray[np.floating]
    labels: NDArray[np.int64] | None

    def tables(self, rows: NDArray[np.integer]) -> dict[str, NDArray[np.float32]]:
        """Features (R, ...) of some voxels by feature set."""
        found = {
            feature.__name__: feature(self.mean, self.values, rows) for feature in (heights, surroundings) if len(rows)
        }
        return {**found, "both": np.hstack(list(found.values()))} if found else {}


def point_forest(
    train: SegmentationDataset,
    validation: SegmentationDataset | None,
    test: SegmentationDataset,
    *,
    trees: int = 500,
    rows: int = 9000,
    most_rows: int = 100_000,
    seed: int = 0,
) -> PointForest:
    """Scores of the best of three feature sets, chosen on the validation split and trained on all the rest.

    The forest labels the voxels of the data sets' grid; a point has the label of its voxel, or of the nearest one.

    Args:
        train: training split; its random transforms are not used.
        validation: validation split, chooses the features and then joins the training. Where it is ``None``, the last
            fifth of the training clouds does that.
        test: test split.
        trees: of the forest.
        rows: most labelled voxels of a cloud that a forest is trained on, drawn at random.
        most_rows: of all clouds together; where there are many clouds, each gives an equal part.
        seed: of the forest and of the voxels drawn.

    Raises:
        ConfigError: a split without labels, or one training cloud and no validation.
    """
    held, first = _held_out(train, validation)
    generator = np.random.default_rng(seed)
    # One cloud after the other: of many thousand voxels each, hundreds would not fit into memory.
    share = _share(rows, most_rows, first)
    known = [_sample(_cloud(train, index), share, generator) for index in range(first)]
    classes = len(train.class_names)
    whole = [cloud.tables(np.arange(len(cloud.voxels))) for cloud in held]
    scores = {}
    for name in FEATURES:
        forest = _fit(known, name, trees, share, seed)
        scores[name] = _score(forest, zip(held, whole, strict=True), name, classes).miou
    best = max(scores, key=lambda name: scores[name])
    share = _share(rows, most_rows, first + len(held))
    forest = _fit([*known, *(_sample(cloud, share, generator) for cloud in held)], best, trees, share, seed)
    asked = ((cloud, cloud.tables(np.arange(len(cloud.voxels)))) for cloud in _clouds(test))
    return PointForest(trees, best, scores, _score(forest, asked, best, classes))


def _held_out(train: SegmentationDataset, validation: SegmentationDataset | None) -> tuple[list[_Cloud], int]:
    """Clouds that choose the features, and how many of the training clouds are left to be trained on."""
    if validation is not None:
        return _clouds(validation), len(train)
    if len(train) < 2:
        raise ConfigError("the forest's features are chosen on training clouds held out: there must be two or more.")
    last = max(1, len(train) // 5)
    return [_cloud(train, index) for index in range(len(train) - last, len(train))], len(train) - last


def _share(rows: int, most_rows: int, clouds: int) -> int:
    return min(rows, max(1, most_rows // clouds))


def _clouds(data: SegmentationDataset) -> list[_Cloud]:
    return [_cloud(data, index) for index in range(len(data))]


def _cloud(data: SegmentationDataset, index: int) -> _Cloud:
    frame = data.read(index)
    columns = data.pipeline.columns
    further = tuple(name for name in columns[3:] if not name.startswith("normal_"))
    pipeline = PointPipeline(
        grid=data.pipeline.grid, columns=columns, features=("xyz", *further, "count"), reduce="mean"
    )
    points, labels = data.points(frame), data.classes(frame)
    voxels = pipeline.voxelize(points, np.random.default_rng(0), labels=labels, source=frame.source)
    xyz, values = np.split(voxels.features.astype(np.float64), [3], axis=1)
    return _Cloud(voxels, xyz, values, points[:, :3], labels)


def _sample(cloud: _Cloud, share: int, generator: np.random.Generator) -> _Sample:
    """At most ``share`` labelled voxels; the first of them are the sample of a smaller share."""
    labels = cloud.voxels.labels
    if labels is None:
        return _Sample({}, np.zeros(0, dtype=np.int64))
    chosen = generator.permutation(np.flatnonzero(labels >= 0))[:share]
    return _Sample(cloud.tables(chosen), labels[chosen])


def _fit(samples: Sequence[_Sample], name: str, trees: int, share: int, seed: int) -> RandomForestClassifier:
    """A forest of at most ``share`` voxels of each cloud."""
    tables = [sample.tables[name][:share] for sample in samples if len(sample.labels)]
    labels = [sample.labels[:share] for sample in samples if len(sample.labels)]
    forest = RandomForestClassifier(
        trees, min_samples_leaf=2, class_weight="balanced_subsample", random_state=seed, n_jobs=-1
    )
    return forest.fit(np.concatenate(tables), np.concatenate(labels))


def _score(
    forest: RandomForestClassifier,
    clouds: Iterable[tuple[_Cloud, dict[str, NDArray[np.float32]]]],
    name: str,
    classes: int,
) -> SegmentationResult:
    pairs = np.zeros((classes, classes + 1), dtype=np.int64)
    for cloud, tables in clouds:
        scores = np.zeros((len(cloud.voxels), classes))
        if len(cloud.voxels):
            scores[:, forest.classes_] = forest.predict_proba(tables[name])
        predicted = most_likely(point_scores(scores, cloud.voxels, cloud.xyz))
        pairs += count_pairs(predicted, cloud.labels, classes, source=cloud.voxels.source)
    return segmentation_result(pairs)
