"""Groups of points that stand on the ground, and upright boxes around them: finding objects without learning."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN

Array = NDArray[np.float64]
Criterion = Literal["area", "closeness"]
# Metres: edge of the cells in which the lowest points are sought, and of those in which one point stands for all.
_CELL, _THIN = 0.5, 0.15
_TURNS = np.deg2rad(np.arange(0, 90, 2))
# Metres within which a point is as good as on the edge of its rectangle.
_NEAR = 0.05


class ClusterSettings(NamedTuple):
    """How points become groups, and groups boxes.

    Attributes:
        window: metres; what is narrower than this stands on the ground.
        clearance: points less than so many metres above it belong to it.
        ceiling: points more than so many metres above it are left out.
        reach: metres between neighbours in a group.
        neighbours: that a point needs, itself among them, to make a group grow.
        flat: whether groups are sought from above, without regard to heights.
        criterion: what turns a rectangle: the least area, or points close to its edges (Zhang et al., IV 2017).
        points_weight: of the logarithm of a group's points in its score, beside the likelihood of its size.
        spread: factor of the standard deviations of sizes in that likelihood.
    """

    window: float = 8.0
    clearance: float = 0.25
    ceiling: float = 3.0
    reach: float = 0.6
    neighbours: int = 5
    flat: bool = False
    criterion: Criterion = "closeness"
    points_weight: float = 0.5
    spread: float = 2.0


def ground_heights(xyz: Array, window: float) -> Array:
    """(P,) height of the ground below points (P, 3): the lowest ones of cells of half a metre, opened by a square window.

    An opening (the highest of the lowest around) follows slopes, and takes away what is narrower than the window.
    """
    cells = np.floor(xyz[:, :2] / _CELL).astype(np.int64)
    cells -= cells.min(axis=0)
    lowest = np.full(cells.max(axis=0) + 1, np.inf)
    np.minimum.at(lowest, (cells[:, 0], cells[:, 1]), xyz[:, 2])
    half = max(1, round(window / _CELL / 2))
    eroded = _around(lowest, half, np.minimum, np.inf)
    opened = _around(np.where(np.isfinite(eroded), eroded, -np.inf), half, np.maximum, -np.inf)
    ground: Array = opened[cells[:, 0], cells[:, 1]]
    return ground


def _around(values: Array, half: int, best: np.ufunc, outside: float) -> Array:
    """The best of each cell's square of 2 ``half`` + 1 cells."""
    for axis in (0, 1):
        pad = [(half, half) if place == axis else (0, 0) for place in (0, 1)]
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(values, pad, constant_values=outside), 2 * half + 1, axis
        )
        values = best.reduce(windows, axis=-1)
    return values


def find_clusters(xyz: Array, settings: ClusterSettings) -> Iterator[tuple[Array, float]]:
    """Groups of points above the ground.

    Args:
        xyz: (P, 3) in metres.
        settings: of the groups.

    Yields:
        Points (K, 3) of a group, and the height of the ground below their middle.
    """
    if not len(xyz):
        return
    ground = ground_heights(xyz, settings.window)
    above = xyz[:, 2] - ground
    standing = (above > settings.clearance) & (above < settings.ceiling)
    xyz, ground = xyz[standing], ground[standing]
    if not len(xyz):
        return
    _, first, cell = np.unique(np.floor(xyz / _THIN), axis=0, return_index=True, return_inverse=True)
    thinned = xyz[first][:, : 2 if settings.flat else 3]
    group = DBSCAN(eps=settings.reach, min_samples=settings.neighbours).fit_predict(thinned)[cell.reshape(-1)]
    order = np.argsort(group, kind="stable")
    order = order[group[order] >= 0]
    for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if len(order) else ():
        yield xyz[rows], float(np.median(ground[rows]))


class Rectangle(NamedTuple):
    """A rectangle seen from above: ``low`` and ``high`` (2,) are its ends along ``turn`` and across, in radians and metres."""

    turn: float
    low: Array
    high: Array


def fit_rectangle(xy: Array, criterion: Criterion = "closeness") -> Rectangle:
    """The rectangle around points (K, 2) that is best by a criterion, of turns by two degrees (Zhang et al., IV 2017).

    Example:
        >>> fit_rectangle(np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 2.0]])).high
        array([4., 2.])
    """
    c, s = np.cos(_TURNS)[:, None], np.sin(_TURNS)[:, None]
    sides = np.stack([xy[:, 0] * c + xy[:, 1] * s, xy[:, 1] * c - xy[:, 0] * s])
    low, high = sides.min(axis=2), sides.max(axis=2)
    if criterion == "area":
        best = int(np.argmin((high - low).prod(axis=0)))
    else:
        away = np.minimum(sides - low[..., None], high[..., None] - sides).min(axis=0)
        best = int(np.argmax((1 / np.maximum(away, _NEAR)).sum(axis=1)))
    return Rectangle(float(_TURNS[best]), low[:, best], high[:, best])


def grow(low: Array, high: Array, least: Array) -> tuple[Array, Array]:
    """Ends of a rectangle along its axes, moved away from the origin until it is as large as ``least``.

    Where the origin lies between two ends, both move.
    """
    lack = np.maximum(least - (high - low), 0)
    share = np.select([low > 0, high < 0], [0.0, 1.0], 0.5)
    return low - lack * share, high + lack * (1 - share)
