"""Columns of a voxel's features: which there are, and how points are reduced to them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikevox.encoding.errors import PointCloudError
from spikevox.encoding.grouping import Groups

_COMPOSITE = {
    "xyz": ("x", "y", "z"),
    "offset": ("offset_x", "offset_y", "offset_z"),
    "normal": ("normal_x", "normal_y", "normal_z"),
}
_COMPUTED = ("offset_x", "offset_y", "offset_z", "count")


def feature_columns(features: Sequence[str], columns: Sequence[str]) -> tuple[str, ...]:
    """Expands feature names to single columns and checks that the cloud has them.

    Example:
        >>> feature_columns(("offset", "intensity"), ("x", "y", "z", "intensity"))
        ('offset_x', 'offset_y', 'offset_z', 'intensity')

    Raises:
        PointCloudError: a feature that is neither computed here nor a column of the cloud.
    """
    names = tuple(name for feature in features for name in _COMPOSITE.get(feature, (feature,)))
    unknown = [name for name in names if name not in _COMPUTED and name not in columns]
    if unknown or not names:
        raise PointCloudError(
            f"features {unknown or '()'} are not there: the cloud has columns {tuple(columns)}, and 'xyz', "
            "'offset', 'normal' (columns normal_x, normal_y, normal_z) and 'count' can be asked for."
        )
    return names


def reduce_features(
    names: Sequence[str],
    points: NDArray[np.floating],
    columns: Sequence[str],
    offsets: NDArray[np.floating] | None,
    groups: Groups,
    representative: NDArray[np.int64],
    reduce: str,
) -> NDArray[np.float32]:
    """Features (V, len(names)) of the groups of points.

    Args:
        names: single columns, from :func:`feature_columns`.
        points: (P, len(columns)).
        columns: names of the columns of ``points``.
        offsets: (P, 3) offset to the voxel's centre in voxel units, in [-0.5, 0.5]; needed where asked for.
        groups: rows of ``points`` a voxel.
        representative: (V,) the row that stands for each voxel under ``"first"`` and ``"random"``.
        reduce: ``"first"``, ``"random"``, ``"mean"`` or ``"max"``.
    """
    result = np.empty((len(groups.starts), len(names)), dtype=np.float32)
    for column, name in enumerate(names):
        if name == "count":
            result[:, column] = groups.sizes
            continue
        if name.startswith("offset_") and offsets is not None:
            values = offsets[:, "xyz".index(name[-1])]
        else:
            values = points[:, columns.index(name)]
        result[:, column] = _reduce(values, groups, representative, reduce)
    return result


def _reduce(
    values: NDArray[np.floating], groups: Groups, representative: NDArray[np.int64], reduce: str
) -> NDArray[np.floating]:
    if reduce in ("first", "random") or len(groups.starts) == 0:
        return values.take(representative)
    if reduce == "max":
        return np.maximum.reduceat(values[groups.rows], groups.starts)
    return np.add.reduceat(values[groups.rows], groups.starts, dtype=np.float64) / groups.sizes
