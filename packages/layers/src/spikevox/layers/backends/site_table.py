"""Look-up of sites by coordinate: packed keys and binary search, on any torch device.

On a GPU each value that the host reads makes it wait for all that was queued. Only :func:`bounding_box`, the order of
sites that nobody vouches for, and :meth:`SiteTable.find` read; :meth:`SiteTable.rows` does not.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spikevox.encoding.errors import CoordinateRangeError
from spikevox.layers import native_sites

_KEY_BITS = 62


class Box(NamedTuple):
    """Smallest and largest (sample, x, y, z) of a set of sites, both inside; known to the host."""

    lower: tuple[int, ...]
    upper: tuple[int, ...]


def bounding_box(coordinates: Tensor) -> Box:
    """The box of coordinates (N, 4), by one read; that of no sites holds the origin alone."""
    if len(coordinates) == 0:
        return Box((0,) * 4, (0,) * 4)
    if native_sites.reads_sites(coordinates):
        return Box(*native_sites.bounds(coordinates))
    # Not aminmax: it wakes OpenMP's threads, for which a forked worker waits forever before a backend can refuse it.
    lower, upper = torch.stack([coordinates.amin(dim=0), coordinates.amax(dim=0)]).tolist()
    return Box(tuple(lower), tuple(upper))


class KeyPacking:
    """Packs (sample, x, y, z) into one int64 that sorts in the same order.

    Args:
        box: holds the coordinates that can be packed.

    Raises:
        CoordinateRangeError: a box of more than 2^62 cells.
    """

    def __init__(self, box: Box) -> None:
        self.lower = box.lower
        self.extent = [b - a + 1 for a, b in zip(*box, strict=True)]
        self.bits = [(e - 1).bit_length() for e in self.extent]
        if sum(self.bits) > _KEY_BITS:
            raise CoordinateRangeError(
                f"the sites span a box of {self.extent} (sample, x, y, z), which takes {sum(self.bits)} bits; at "
                f"most {_KEY_BITS} can be addressed. Remove far outliers or use larger voxels."
            )

    def pack(self, columns: Sequence[Tensor]) -> Tensor:
        """Keys int64 of four columns of coordinates, which broadcast; without meaning outside the box."""
        keys = columns[0].to(torch.int64) - self.lower[0]
        for axis in range(1, 4):
            keys = (keys << self.bits[axis]) + (columns[axis].to(torch.int64) - self.lower[axis])
        return keys

    def unpack(self, keys: Tensor) -> Tensor:
        """Coordinates (N, 4) int64 of keys."""
        columns = []
        for axis in reversed(range(4)):
            columns.append((keys & ((1 << self.bits[axis]) - 1)) + self.lower[axis])
            keys = keys >> self.bits[axis]
        return torch.stack(columns[::-1], dim=1)

    def inside(self, columns: Sequence[Tensor]) -> Tensor:
        """Mask of the coordinates in the box, from four columns, which broadcast."""
        masks = [
            (column >= lower) & (column < lower + extent)
            for column, lower, extent in zip(columns, self.lower, self.extent, strict=True)
        ]
        return masks[0] & masks[1] & masks[2] & masks[3]


def keys_out_of_order(coordinates: Tensor, packing: KeyPacking) -> Tensor | None:
    """``None`` where the sites (N, 4) ascend without repetition, else their keys."""
    if native_sites.reads_sites(coordinates) and native_sites.ascend(coordinates):
        return None
    keys = packing.pack(coordinates.unbind(1))
    return None if len(keys) < 2 or bool((keys[1:] > keys[:-1]).all()) else keys


class SiteTable:
    """Sites that can be looked up by coordinate.

    Args:
        coordinates: (N, 4) int32, unique, in any order.
        box: a box that holds them, where one is known and they ascend; else both are read from them.
    """

    def __init__(self, coordinates: Tensor, box: Box | None = None) -> None:
        self.coordinates = coordinates
        self.packing = KeyPacking(box or bounding_box(coordinates))
        keys = self.packing.pack(coordinates.unbind(1))
        self._order: Tensor | None = None
        if box is None and len(keys) > 1 and not bool((keys[1:] > keys[:-1]).all()):
            keys, self._order = keys.sort()
        self._keys = keys

    def rows(self, columns: Sequence[Tensor]) -> Tensor:
        """Row of the site at each coordinate, -1 where there is none.

        Args:
            columns: four of integers, which broadcast: sample, x, y, z.

        Returns:
            int64 in the shape that the columns broadcast to.
        """
        inside = self.packing.inside(columns)
        if len(self._keys) == 0:
            return torch.full_like(inside, -1, dtype=torch.int64)
        wanted = self.packing.pack(columns)
        position = torch.searchsorted(self._keys, wanted).clamp_(max=len(self._keys) - 1)
        found = inside & (self._keys[position] == wanted)
        rows = position if self._order is None else self._order[position]
        return rows.masked_fill(~found, -1)

    def find(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the sites that are there.

        Args:
            coordinates: (M, 4) integers.

        Returns:
            ``(queries, rows)``: the rows of ``coordinates`` that are sites, ascending, and their site rows.
        """
        rows = self.rows(coordinates.unbind(1))
        queries = (rows >= 0).nonzero().squeeze(1)
        return queries, rows[queries]
