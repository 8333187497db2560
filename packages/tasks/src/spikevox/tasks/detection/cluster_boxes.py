"""Boxes of chosen classes around groups of points that stand on the ground."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.frame import Boxes
from spikevox.tasks.detection.clusters import ClusterSettings, Rectangle, find_clusters, fit_rectangle, grow
from spikevox.tasks.errors import ConfigError

Array = NDArray[np.float64]
# Metres: what is longer than this along x or y is a wall.
_LONGEST = 10.0
# Metres: a class whose objects are all of one size still has some room.
_LEAST_DEVIATION = 0.05


class ClassSize(NamedTuple):
    """Mean and standard deviation (3,) of the length, width and height of a class's objects, in metres."""

    mean: Array
    deviation: Array


class Standing(NamedTuple):
    """A group of points: the rectangle around it, its highest point, the ground below it, its points."""

    rectangle: Rectangle
    top: float
    ground: float
    points: int


def class_sizes(objects: Sequence[Boxes], names: Sequence[str]) -> dict[str, ClassSize]:
    """Size of each class.

    Raises:
        ConfigError: a class without objects.
    """
    result = {}
    for name in names:
        table = np.concatenate([boxes.sizes[np.array([one == name for one in boxes.names], bool)] for boxes in objects])
        if not len(table):
            raise ConfigError(f"there is no {name} in {len(objects)} frames: the size of one is not known.")
        result[name] = ClassSize(table.mean(axis=0), np.maximum(table.std(axis=0), _LEAST_DEVIATION))
    return result


def standing_groups(xyz: Array, settings: ClusterSettings) -> list[Standing]:
    """Groups of the points (P, 3) that are no wall."""
    return [
        Standing(fit_rectangle(points[:, :2], settings.criterion), float(points[:, 2].max()), ground, len(points))
        for points, ground in find_clusters(xyz, settings)
        if np.ptp(points[:, :2], axis=0).max() <= _LONGEST
    ]


def cluster_boxes(
    groups: Sequence[Standing], sizes: Mapping[str, ClassSize], settings: ClusterSettings, *, complete: bool
) -> Boxes:
    """A box around each group, of the class that its size is likeliest of; the best score first.

    The score is the logarithm of the likelihood of the size that is seen, but for a constant, and that of the number of points.

    Args:
        groups: see :func:`standing_groups`.
        sizes: of the classes.
        settings: of the score.
        complete: whether boxes are as large as their class's mean at least, and reach away from the sensor for that: of an object
            only the sides that face it are seen.
    """
    if not groups:
        return Boxes(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), (), scores=np.zeros(0))
    rows, names, scores = [], [], []
    for group in groups:
        likelihood = {name: _likelihood(group, size, settings.spread) for name, size in sizes.items()}
        name = max(likelihood, key=lambda key: likelihood[key])
        rows.append(_completed(group, sizes[name].mean) if complete else _around(group))
        names.append(name)
        scores.append(likelihood[name] + settings.points_weight * np.log(group.points))
    table = np.array(rows)
    boxes = Boxes(table[:, :3], table[:, 3:6], table[:, 6], tuple(names), scores=np.array(scores))
    return boxes.take(np.argsort(-np.array(scores), kind="stable"))


def _likelihood(group: Standing, size: ClassSize, spread: float) -> float:
    extent = group.rectangle.high - group.rectangle.low
    seen = np.array([extent.max(), extent.min(), group.top - group.ground])
    return float(-0.5 * (((seen - size.mean) / (spread * size.deviation)) ** 2).sum())


def _around(group: Standing) -> Array:
    low, high = group.rectangle.low, group.rectangle.high
    return _box(group, low, high, int(np.argmax(high - low)), group.top - group.ground)


def _completed(group: Standing, size: Array) -> Array:
    low, high = group.rectangle.low, group.rectangle.high
    lengthwise = int(np.argmax(high - low))
    shorter, longer = sorted(high - low)
    # A side nearer to the class's width than to its length, with nothing behind it, is an end.
    if longer < (size[0] + size[1]) / 2 and shorter < longer / 2:
        lengthwise = 1 - lengthwise
    low, high = grow(low, high, np.array([size[0], size[1]] if lengthwise == 0 else [size[1], size[0]]))
    return _box(group, low, high, lengthwise, max(group.top - group.ground, size[2]))


def _box(group: Standing, low: Array, high: Array, lengthwise: int, height: float) -> Array:
    """(7,) box that stands on the ground, its length along one side of the rectangle."""
    turn = group.rectangle.turn
    (along, across), extent = (low + high) / 2, high - low
    c, s = np.cos(turn), np.sin(turn)
    center = (along * c - across * s, along * s + across * c, group.ground + height / 2)
    return np.array(
        [*center, extent[lengthwise], extent[1 - lengthwise], height, turn + lengthwise * np.pi / 2], dtype=np.float64
    )
