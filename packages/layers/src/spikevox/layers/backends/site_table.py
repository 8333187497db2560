"""Look-up of sites by coordinate: packed keys and binary search, on any torch device."""

import torch
from torch import Tensor

from spikevox.encoding.errors import CoordinateRangeError

_KEY_BITS = 62


class KeyPacking:
    """Packs (sample, x, y, z) into one int64 that sorts in the same order.

    Args:
        coordinates: (N, 4) integers; the packing covers their bounding box.

    Raises:
        CoordinateRangeError: a box of more than 2^62 cells.
    """

    def __init__(self, coordinates: Tensor) -> None:
        if len(coordinates):
            lower = coordinates.amin(dim=0).tolist()
            upper = coordinates.amax(dim=0).tolist()
        else:
            lower, upper = [0] * 4, [0] * 4
        self.lower = lower
        self.extent = [b - a + 1 for a, b in zip(lower, upper, strict=True)]
        self.bits = [(e - 1).bit_length() for e in self.extent]
        if sum(self.bits) > _KEY_BITS:
            raise CoordinateRangeError(
                f"the sites span a box of {self.extent} (sample, x, y, z), which takes {sum(self.bits)} bits; at "
                f"most {_KEY_BITS} can be addressed. Remove far outliers or use larger voxels."
            )

    def pack(self, coordinates: Tensor) -> Tensor:
        """Keys (N,) int64 of coordinates inside the box."""
        keys = torch.zeros(len(coordinates), dtype=torch.int64, device=coordinates.device)
        for axis in range(4):
            keys <<= self.bits[axis]
            keys |= coordinates[:, axis].to(torch.int64) - self.lower[axis]
        return keys

    def unpack(self, keys: Tensor) -> Tensor:
        """Coordinates (N, 4) int32 of keys."""
        columns = []
        for axis in reversed(range(4)):
            columns.append((keys & ((1 << self.bits[axis]) - 1)) + self.lower[axis])
            keys = keys >> self.bits[axis]
        return torch.stack(columns[::-1], dim=1).to(torch.int32)

    def inside(self, coordinates: Tensor) -> Tensor:
        """Mask (N,) of the coordinates that lie in the box."""
        result = torch.ones(len(coordinates), dtype=torch.bool, device=coordinates.device)
        for axis in range(4):
            column = coordinates[:, axis] - self.lower[axis]
            result &= (column >= 0) & (column < self.extent[axis])
        return result


class SiteTable:
    """Sites that can be looked up by coordinate.

    Args:
        coordinates: (N, 4) int32, unique, in any order.
    """

    def __init__(self, coordinates: Tensor) -> None:
        self.coordinates = coordinates
        self.packing = KeyPacking(coordinates)
        keys = self.packing.pack(coordinates)
        self._order: Tensor | None = None
        if len(keys) > 1 and not bool((keys[1:] > keys[:-1]).all()):
            keys, self._order = keys.sort()
        self._keys = keys

    def find(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the sites that are there.

        Args:
            coordinates: (M, 4) integers.

        Returns:
            ``(queries, rows)``: the rows of ``coordinates`` that are sites, ascending, and their site rows.
        """
        queries = self.packing.inside(coordinates).nonzero().squeeze(1)
        if len(self._keys) == 0 or len(queries) == 0:
            return queries[:0], queries[:0]
        wanted = self.packing.pack(coordinates[queries])
        position = torch.searchsorted(self._keys, wanted).clamp_(max=len(self._keys) - 1)
        found = self._keys[position] == wanted
        rows = position[found]
        return queries[found], rows if self._order is None else self._order[rows]
