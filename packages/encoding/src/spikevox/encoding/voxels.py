"""Points to voxels: the first step of spike voxel coding (SVC)."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikevox.encoding.cap import cap_points, cap_voxels
from spikevox.encoding.errors import PointCloudError
from spikevox.encoding.feature import feature_columns, reduce_features
from spikevox.encoding.grid import VoxelGrid
from spikevox.encoding.grouping import Groups, group_rows
from spikevox.encoding.labels import IGNORE_LABEL, check_labels, majority_labels
from spikevox.encoding.points import check_points
from spikevox.encoding.report import VoxelReport

Reduce = Literal["first", "random", "mean", "max"]


@dataclass(frozen=True)
class Voxels:
    """The occupied voxels of one cloud, in lexicographic order of (x, y, z).

    Attributes:
        coordinates: (V, 3) int32.
        features: (V, F) float32.
        inverse: (P,) int64, the voxel of each point that came in; -1 where the point was not used.
        first_rows: (V,) int64, the row of the point that stands for each voxel.
        report: what became of every point.
        feature_names: names of the F columns.
        labels: (V,) int64 majority labels, where the points had labels.
        label: the class of the whole cloud, where it has one.
        source: what the cloud is called in messages.
    """

    coordinates: NDArray[np.int32]
    features: NDArray[np.float32]
    inverse: NDArray[np.int64]
    first_rows: NDArray[np.int64]
    report: VoxelReport
    feature_names: tuple[str, ...]
    labels: NDArray[np.int64] | None = None
    label: int | None = None
    source: str = "point cloud"

    def __len__(self) -> int:
        return len(self.coordinates)


def voxelize(
    points: Any,
    grid: VoxelGrid,
    *,
    columns: Sequence[str] = ("x", "y", "z"),
    features: Sequence[str] = ("xyz",),
    reduce: Reduce = "first",
    labels: Any = None,
    ignore_label: int = IGNORE_LABEL,
    label: int | None = None,
    max_points: int | None = None,
    max_voxels: int | None = None,
    choice: Literal["first", "random", "most_points"] = "first",
    generator: np.random.Generator | None = None,
    on_invalid: Literal["error", "drop"] = "error",
    max_lost: float = 1.0,
    margin: Sequence[float] | None = None,
    source: str = "point cloud",
) -> Voxels:
    """Sorts points into voxels and reduces each voxel's points to one row of features.

    Args:
        points: (P, len(columns)) real numbers, coordinates in metres.
        grid: voxel size, range and origin.
        columns: names of the columns of ``points``, beginning with x, y, z.
        features: what a voxel carries: ``"xyz"``, ``"offset"`` (to the voxel's centre, in voxel units),
            ``"count"`` (points used), ``"normal"``, or the name of any column.
        reduce: the point a voxel keeps (``"first"``, ``"random"``), or how its points are combined.
        labels: (P,) integer labels; voxels get the majority's.
        ignore_label: a label that does not vote.
        label: class of the whole cloud, passed on.
        max_points: at most this many points of a voxel are used: the first ones in row order, or random
            ones with ``reduce="random"``.
        max_voxels: at most this many voxels are kept, chosen by ``choice``: those met first in row
            order, random ones, or those with most points.
        choice: see ``max_voxels``.
        generator: needed wherever something is chosen at random.
        on_invalid: NaN and infinite values are an error, or dropped and counted.
        max_lost: largest share of the points that may lie out of range or over a cap, in [0, 1].
        margin: (x, y, z) voxels, at least 0, by which the grid's corner lies below the cloud's minimum; only
            with ``origin="minimum"``. Drawn at random in training it shows a shape in all phases of the grid.
        source: what to call the cloud in messages.

    Returns:
        The voxels with their report and the map from points to voxels.

    Raises:
        PointCloudError: invalid points, labels or options, or more points lost than ``max_lost``.
        CoordinateRangeError: points beyond the coordinates that can be addressed.

    Warns:
        UserWarning: no voxel is left, or a cap was reached, with the share of points lost.

    Example:
        >>> voxels = voxelize([[0.1, 0.1, 0.1], [0.2, 0.1, 0.1], [0.9, 0.9, 0.9]], VoxelGrid(0.5))
        >>> voxels.coordinates.tolist()
        [[0, 0, 0], [1, 1, 1]]
        >>> voxels.inverse.tolist()
        [0, 0, 1]
    """
    _check_options(reduce, choice, generator, max_points, max_voxels, max_lost)
    corner_margin = _check_margin(margin, grid)
    names = feature_columns(features, columns)
    array, valid = check_points(points, columns=columns, source=source, on_invalid=on_invalid)
    point_labels = None if labels is None else check_labels(labels, len(array), source)
    rows, invalid, out_of_range = _usable_rows(array, valid, grid)
    used = array if rows is None else array[rows]
    positions = grid.locate(used[:, :3], source)
    if corner_margin is not None:
        positions += corner_margin
    cells = _cells(positions, grid)
    groups, over_cap = _capped(group_rows(cells), reduce, max_points, max_voxels, choice, generator)
    representative = _representatives(groups, reduce, generator)
    offsets = positions - cells - 0.5 if any(name.startswith("offset_") for name in names) else None
    values = reduce_features(names, used, columns, offsets, groups, representative, reduce)
    inverse_used = np.empty(len(used), dtype=np.int64)
    if over_cap:
        inverse_used.fill(-1)
    inverse_used[groups.rows] = groups.members
    voxel_labels, conflicts = None, 0
    if point_labels is not None:
        kept_labels = point_labels if rows is None else point_labels[rows]
        voxel_labels, conflicts = majority_labels(
            kept_labels[groups.rows], groups.members, len(groups.starts), ignore_label=ignore_label
        )
    report = VoxelReport(
        points=len(array),
        kept=len(groups.starts),
        merged=len(groups.rows) - len(groups.starts),
        out_of_range=out_of_range,
        over_cap=over_cap,
        invalid=invalid,
        label_conflicts=conflicts,
        clouds=1,
        empty=int(len(groups.starts) == 0),
    )
    _check_losses(report, max_lost, source)
    return Voxels(
        coordinates=_take(cells, representative),
        features=values,
        inverse=_to_input_rows(inverse_used, rows, len(array)),
        first_rows=representative if rows is None else rows[representative],
        report=report,
        feature_names=names,
        labels=voxel_labels,
        label=label,
        source=source,
    )


def _check_options(
    reduce: str,
    choice: str,
    generator: np.random.Generator | None,
    max_points: int | None,
    max_voxels: int | None,
    max_lost: float,
) -> None:
    if reduce not in ("first", "random", "mean", "max"):
        raise PointCloudError(f"reduce must be 'first', 'random', 'mean' or 'max', got {reduce!r}.")
    if choice not in ("first", "random", "most_points"):
        raise PointCloudError(f"choice must be 'first', 'random' or 'most_points', got {choice!r}.")
    for name, cap in (("max_points", max_points), ("max_voxels", max_voxels)):
        if cap is not None and cap < 1:
            raise PointCloudError(f"{name} must be at least 1, or None for no cap, got {cap}.")
    if not 0 <= max_lost <= 1:
        raise PointCloudError(f"max_lost is a share in [0, 1], got {max_lost}.")
    if generator is None and (reduce == "random" or (max_voxels is not None and choice == "random")):
        raise PointCloudError("a random choice needs generator=numpy.random.default_rng(seed).")


def _check_margin(margin: Sequence[float] | None, grid: VoxelGrid) -> NDArray[np.float64] | None:
    if margin is None:
        return None
    values = np.asarray(margin, dtype=np.float64)
    if values.shape != (3,) or not ((values >= 0) & (values < 2**20)).all() or grid.origin != "minimum":
        raise PointCloudError(
            f"margin is three numbers of voxels from 0 to 2^20 on a grid with origin='minimum', got {margin!r} with "
            f"origin={grid.origin!r}."
        )
    return values


def _usable_rows(
    array: NDArray[np.floating], valid: NDArray[np.bool_] | None, grid: VoxelGrid
) -> tuple[NDArray[np.int64] | None, int, int]:
    """Rows that are valid and in range (``None``: all), invalid points, points out of range."""
    invalid = 0 if valid is None else int((~valid).sum())
    inside = grid.inside(array[:, :3])
    if inside is None:
        return (None if valid is None else np.flatnonzero(valid)), invalid, 0
    usable = inside if valid is None else inside & valid
    return np.flatnonzero(usable), invalid, len(array) - invalid - int(usable.sum())


def _cells(positions: NDArray[np.float64], grid: VoxelGrid) -> NDArray[np.int32]:
    """(P, 3) voxels of the positions, column after column in memory, as the positions are."""
    cells = np.empty((3, len(positions)), dtype=np.int32).T
    shape = grid.shape if grid.origin == "absolute" else None
    floors = np.empty(len(positions))
    for axis in range(3):
        np.floor(positions[:, axis], out=floors)
        cells[:, axis] = floors
        if shape is not None:
            # Division may round a point just below the upper corner onto it; it lies inside by definition.
            np.minimum(cells[:, axis], shape[axis] - 1, out=cells[:, axis])
    return cells


def _take(cells: NDArray[np.int32], rows: NDArray[np.int64]) -> NDArray[np.int32]:
    """``cells[rows]``, row after row in memory."""
    result = np.empty((len(rows), 3), dtype=np.int32)
    for axis in range(3):
        result[:, axis] = cells[:, axis].take(rows)
    return result


def _capped(
    groups: Groups,
    reduce: str,
    max_points: int | None,
    max_voxels: int | None,
    choice: str,
    generator: np.random.Generator | None,
) -> tuple[Groups, int]:
    before = len(groups.rows)
    if max_points is not None:
        groups = cap_points(groups, max_points, generator if reduce == "random" else None)
    if max_voxels is not None:
        groups = cap_voxels(groups, max_voxels, choice, generator)
    return groups, before - len(groups.rows)


def _representatives(groups: Groups, reduce: str, generator: np.random.Generator | None) -> NDArray[np.int64]:
    if reduce == "random" and generator is not None and len(groups.starts):
        return groups.rows[groups.starts + generator.integers(0, groups.sizes)]
    return groups.rows[groups.starts]


def _to_input_rows(inverse: NDArray[np.int64], rows: NDArray[np.int64] | None, count: int) -> NDArray[np.int64]:
    if rows is None:
        return inverse
    result = np.full(count, -1, dtype=np.int64)
    result[rows] = inverse
    return result


def _check_losses(report: VoxelReport, max_lost: float, source: str) -> None:
    lost = report.out_of_range + report.over_cap
    if lost > max_lost * report.points:
        raise PointCloudError(
            f"{source}: {report.out_of_range} of {report.points} points are out of range and {report.over_cap} "
            f"over a cap, a share of {lost / report.points:.3f}; max_lost allows {max_lost}. Check the unit "
            "and frame of the points, widen the range, or raise max_points or max_voxels."
        )
    if report.over_cap:
        warnings.warn(
            f"{source}: {report.over_cap} of {report.points} points ({report.over_cap / report.points:.1%}) are "
            "over max_points or max_voxels and were not used.",
            stacklevel=3,
        )
    if report.empty:
        warnings.warn(f"{source}: no voxel is left ({report}).", stacklevel=3)
