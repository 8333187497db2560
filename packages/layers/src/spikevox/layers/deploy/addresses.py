"""Addresses of sites: which ones a convolution leads to, and which one an event goes to under a kernel offset. No torch."""

import numpy as np
from numpy.typing import NDArray

from spikevox.layers.deploy.program import MapRule, SiteRule
from spikevox.layers.errors import GraphError

_LIMIT = 2**31


class AddressTable:
    """Finds the row of a site by its coordinates.

    Args:
        coordinates: (N, 4) sample, x, y, z, ascending.
    """

    def __init__(self, coordinates: NDArray[np.int64]) -> None:
        self.coordinates = coordinates
        self._low = coordinates.min(axis=0, initial=0)
        self._size = coordinates.max(axis=0, initial=0) - self._low + 1
        if np.prod(self._size.astype(np.float64)) >= 2.0**63:
            raise GraphError("sites lie too far apart to be addressed in 63 bits.")
        self._keys = self._pack(coordinates)

    def _pack(self, coordinates: NDArray[np.int64]) -> NDArray[np.int64]:
        moved = coordinates - self._low
        keys = moved[:, 0]
        for axis in range(1, 4):
            keys = keys * self._size[axis] + moved[:, axis]
        return keys

    def rows(self, coordinates: NDArray[np.int64]) -> NDArray[np.int64]:
        """(M,) row of each of (M, 4), -1 where there is no site."""
        found = np.full(len(coordinates), -1, np.int64)
        moved = coordinates - self._low
        inside = np.flatnonzero(((moved >= 0) & (moved < self._size)).all(axis=1))
        if len(self._keys) and len(inside):
            keys = self._pack(coordinates[inside])
            place = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
            found[inside] = np.where(self._keys[place] == keys, place, -1)
        return found


def derived_sites(parents: NDArray[np.int64], parent_stride: tuple[int, int, int], rule: SiteRule) -> NDArray[np.int64]:
    """Sites (N, 4) that a convolution leads to from (M, 4), ascending."""
    steps = parents[:, 1:] // np.array(parent_stride)
    columns: list[list[NDArray[np.int64]]] = []
    keep: list[list[NDArray[np.bool_]]] = []
    for axis in range(3):
        stride, kernel = rule.stride[axis], rule.kernel_size[axis]
        moved = [steps[:, axis]]
        if not rule.floor:
            moved = [steps[:, axis] + rule.padding[axis] - j * rule.dilation[axis] for j in range(kernel)]
        fits = [np.full(len(steps), True) if rule.floor else one % stride == 0 for one in moved]
        places = [one // stride for one in moved]
        if rule.extent[0] >= 0:
            count = _dense_extent(rule, axis)
            fits = [f & (p >= 0) & (p < count) for f, p in zip(fits, places, strict=True)]
        columns.append(places)
        keep.append(fits)
    found = [
        np.stack([parents[:, 0], x, y, z], axis=1)[fx & fy & fz]
        for x, fx in zip(columns[0], keep[0], strict=True)
        for y, fy in zip(columns[1], keep[1], strict=True)
        for z, fz in zip(columns[2], keep[2], strict=True)
    ]
    result = np.concatenate(found) * np.array([1, *rule.tensor_stride])
    if len(result) and np.abs(result[:, 1:]).max() >= _LIMIT:
        raise GraphError("output sites leave the range of int32 coordinates.")
    return np.unique(result, axis=0)


def _dense_extent(rule: SiteRule, axis: int) -> int:
    """Sites that a dense convolution makes of the grid along an axis."""
    reach = rule.dilation[axis] * (rule.kernel_size[axis] - 1)
    return max(0, (rule.extent[axis] + 2 * rule.padding[axis] - reach - 1) // rule.stride[axis] + 1)


def targets(rule: MapRule, transposed: bool, sources: NDArray[np.int64], table: AddressTable) -> NDArray[np.int64]:
    """(K, N) row that each source site (N, 4) sends to under each kernel offset, -1 where there is none.

    This is the addressing function of spike sparse convolution: the address of an event less the offset, or plus where the
    convolution is transposed.
    """
    sign = 1 if transposed else -1
    moves = sign * rule.offsets.astype(np.int64)
    return np.stack([table.rows(sources + np.array([0, *move])) for move in moves])
