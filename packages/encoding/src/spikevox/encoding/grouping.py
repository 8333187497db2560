"""Rows that share a voxel, found by one sort."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Groups(NamedTuple):
    """Rows grouped by voxel; groups in lexicographic order of (x, y, z), rows ascending inside a group.

    Attributes:
        rows: (P,) row numbers, group after group.
        starts: (V,) where each group begins in ``rows``.
        sizes: (V,) rows in each group.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def members(self) -> NDArray[np.int64]:
        """(P,) the group of each entry of ``rows``."""
        return np.repeat(np.arange(len(self.starts)), self.sizes)


def group_rows(coordinates: NDArray[np.integer]) -> Groups:
    """Groups rows of integer coordinates (P, K) that are equal.

    Key and row number are packed into one int64 where they fit, so that a single sort of plain integers
    yields the groups, their order and the first row of each.
    """
    count = len(coordinates)
    if count == 0:
        empty = np.zeros(0, dtype=np.int64)
        return Groups(empty, empty, empty)
    lower = coordinates.min(axis=0).astype(np.int64)
    extent = [int(e) + 1 for e in coordinates.max(axis=0).astype(np.int64) - lower]
    row_bits = max(1, int(count - 1).bit_length())
    axis_bits = [(e - 1).bit_length() for e in extent]
    if sum(axis_bits) + row_bits > 62:
        return _group_wide(coordinates)
    packed = np.zeros(count, dtype=np.int64)
    for axis, bits in enumerate(axis_bits):
        packed <<= bits
        packed |= coordinates[:, axis].astype(np.int64) - lower[axis]
    packed <<= row_bits
    packed |= np.arange(count)
    packed.sort()
    return _cut(packed & ((1 << row_bits) - 1), np.diff(packed >> row_bits) != 0)


def _group_wide(coordinates: NDArray[np.integer]) -> Groups:
    rows = np.lexsort((np.arange(len(coordinates)), *coordinates.T[::-1]))
    ordered = coordinates[rows]
    return _cut(rows.astype(np.int64), (ordered[1:] != ordered[:-1]).any(axis=1))


def _cut(rows: NDArray[np.int64], changes: NDArray[np.bool_]) -> Groups:
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1]).astype(np.int64)
    return Groups(rows, starts, np.diff(starts, append=len(rows)))
