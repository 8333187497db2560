"""The grid that points are sorted into: voxel size, range, origin, exact shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikevox.encoding.errors import CoordinateRangeError, PointCloudError

COORDINATE_LIMIT = 2**30
"""Largest voxel coordinate by magnitude: int32 with room for kernels, strides and dilations."""


def _triple(value: Any, name: str) -> tuple[float, float, float]:
    values = np.asarray(value, dtype=object).reshape(-1)
    if values.size == 1:
        values = np.repeat(values, 3)
    if values.size != 3:
        raise PointCloudError(f"{name} must be one number or three (x, y, z), got {value!r}.")
    # A float32 means the short decimal that it prints, not the nearest binary fraction.
    return tuple(float(str(v)) if isinstance(v, np.floating) else float(v) for v in values)  # type: ignore[return-value]


@dataclass(frozen=True)
class VoxelGrid:
    """A regular grid. A point p lies in voxel ``floor((p - origin) / voxel_size)``.

    Args:
        voxel_size: edge length in metres, one number or (x, y, z).
        lower: lower corner of the range in metres, inclusive; ``None`` for no range.
        upper: upper corner of the range in metres, exclusive; given with ``lower`` or not at all.
        origin: ``"absolute"`` counts voxels from ``lower`` (from 0 where there is no range);
            ``"minimum"`` from the smallest coordinate of each cloud.

    Raises:
        PointCloudError: a voxel size that is not positive and finite, or an empty range.

    Example:
        >>> VoxelGrid(0.2, lower=-100.8, upper=100.8).shape
        (1008, 1008, 1008)
    """

    voxel_size: float | Sequence[float]
    lower: float | Sequence[float] | None = None
    upper: float | Sequence[float] | None = None
    origin: Literal["absolute", "minimum"] = "absolute"

    def __post_init__(self) -> None:
        size = _triple(self.voxel_size, "voxel_size")
        if not all(0 < s < float("inf") for s in size):
            raise PointCloudError(f"voxel_size must be positive and finite in metres, got {self.voxel_size!r}.")
        object.__setattr__(self, "voxel_size", size)
        if self.origin not in ("absolute", "minimum"):
            raise PointCloudError(f"origin must be 'absolute' or 'minimum', got {self.origin!r}.")
        if (self.lower is None) != (self.upper is None):
            raise PointCloudError("lower and upper make the range together: give both or none.")
        if self.lower is None or self.upper is None:
            return
        lower, upper = _triple(self.lower, "lower"), _triple(self.upper, "upper")
        if not all(-float("inf") < a < b < float("inf") for a, b in zip(lower, upper, strict=True)):
            raise PointCloudError(f"the range is empty or not finite: lower {lower}, upper {upper}.")
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    def _cells(self) -> tuple[Fraction, ...] | None:
        if self.lower is None:
            return None
        corners = zip(self.lower, self.upper, self.voxel_size, strict=True)  # type: ignore[arg-type]
        # Decimal text as fractions: (100.8 + 100.8) / 0.2 in floats is 1007.99..., which truncates to 1007.
        return tuple((Fraction(str(b)) - Fraction(str(a))) / Fraction(str(s)) for a, b, s in corners)

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """Voxels along x, y, z; a last, partly covered voxel counts. ``None`` without a range."""
        cells = self._cells()
        return None if cells is None else tuple(ceil(c) for c in cells)  # type: ignore[return-value]

    @property
    def remainder(self) -> tuple[float, float, float] | None:
        """Part of the last voxel along x, y, z that the range covers, 0 where it fits exactly."""
        cells = self._cells()
        return None if cells is None else tuple(float(c % 1) for c in cells)  # type: ignore[return-value]

    def locate(self, xyz: NDArray[np.floating], source: str = "point cloud") -> NDArray[np.float64]:
        """Positions (P, 3) in voxel units, counted from the origin; their floor is the voxel.

        Raises:
            CoordinateRangeError: a position beyond ``COORDINATE_LIMIT``, with its rows.
        """
        corner = self.corner(xyz)
        # Column after column in memory: numpy works on three long rows several times faster than on many
        # rows of three.
        positions = np.empty((3, len(xyz))).T
        for axis, size in enumerate(self.voxel_size):  # type: ignore[arg-type]
            column = positions[:, axis]
            np.subtract(xyz[:, axis], corner[axis], out=column, dtype=np.float64)
            np.divide(column, size, out=column)
        if len(positions) and max(positions.max(), -positions.min()) > COORDINATE_LIMIT:
            rows = np.flatnonzero((np.abs(positions) > COORDINATE_LIMIT).any(axis=1))
            raise CoordinateRangeError(
                f"{source}: {rows.size} of {len(xyz)} points lie more than {COORDINATE_LIMIT} voxels from the "
                f"origin (first rows: {rows[:5].tolist()}). Use a larger voxel_size, give the grid a range, or "
                "subtract an offset from the points.",
                rows,
            )
        return positions

    def corner(self, xyz: NDArray[np.floating]) -> NDArray[np.float64]:
        """(3,) where voxel 0 begins, in metres, for a cloud (P, 3) whose points all lie in the range."""
        if self.origin == "minimum" and len(xyz):
            return xyz.min(axis=0).astype(np.float64)
        return np.zeros(3) if self.lower is None else np.asarray(self.lower, dtype=np.float64)

    def inside(self, xyz: NDArray[np.floating]) -> NDArray[np.bool_] | None:
        """Mask (P,) of the points in ``[lower, upper)``; ``None`` where there is no range."""
        if self.lower is None:
            return None
        # Compared in float64: a float32 border such as 70.4 would otherwise move by its rounding.
        points = xyz.astype(np.float64, copy=False)
        within = (points >= np.asarray(self.lower)) & (points < np.asarray(self.upper))
        return np.logical_and.reduce(within, axis=1)
