"""Checks of a point cloud where it enters: shape, type, finite values."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikevox.encoding.errors import PointCloudError


def check_points(
    points: Any,
    *,
    columns: Sequence[str] = ("x", "y", "z"),
    source: str = "point cloud",
    on_invalid: Literal["error", "drop"] = "error",
) -> tuple[NDArray[np.floating], NDArray[np.bool_] | None]:
    """Checks a cloud and tells which rows can be used.

    Args:
        points: (P, len(columns)) real numbers; the first three columns are x, y, z in metres.
        columns: names of the columns, beginning with ``"x", "y", "z"``.
        source: what to call the cloud in messages, for example its file name.
        on_invalid: ``"error"`` refuses NaN and infinite values, ``"drop"`` marks their rows.

    Returns:
        The points as a floating array, and a mask (P,) of the valid rows; ``None`` where all are valid.

    Raises:
        PointCloudError: wrong shape, type or column names, or invalid values under ``on_invalid="error"``.
    """
    if tuple(columns[:3]) != ("x", "y", "z") or len(set(columns)) != len(columns):
        raise PointCloudError(f"columns must be distinct and begin with 'x', 'y', 'z', got {tuple(columns)}.")
    if on_invalid not in ("error", "drop"):
        raise PointCloudError(f"on_invalid must be 'error' or 'drop', got {on_invalid!r}.")
    array = np.asarray(points)
    if array.dtype.kind not in "fiu":
        raise PointCloudError(f"{source}: points must be real numbers, got dtype {array.dtype}.")
    if array.ndim != 2 or array.shape[1] != len(columns):
        raise PointCloudError(
            f"{source}: expected points of shape (P, {len(columns)}) for columns {tuple(columns)}, got "
            f"{array.shape}. Name every column, for example columns=('x', 'y', 'z', 'intensity')."
        )
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    return array, _valid_rows(array, source, on_invalid)


def _valid_rows(points: NDArray[np.floating], source: str, on_invalid: str) -> NDArray[np.bool_] | None:
    # A sum is finite only if every term is, so one pass without a mask clears the usual case. A sum of
    # finite values may still overflow; the exact test below then finds nothing.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(points.sum(dtype=np.float64)):
            return None
    valid = np.isfinite(points).all(axis=1)
    rows = np.flatnonzero(~valid)
    if rows.size == 0:
        return None
    if on_invalid == "error":
        xyz = np.isfinite(points[rows, :3]).all()
        what = "features" if xyz else "coordinates"
        raise PointCloudError(
            f"{source}: {rows.size} of {len(points)} points have NaN or infinite {what} (first rows: "
            f"{rows[:5].tolist()}). Remove them, or pass on_invalid='drop' to drop and count them.",
            rows,
        )
    return valid
