"""Arrays as compact text: whole numbers of one or two bytes, deflated, in base64."""

import base64
import hashlib
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS = 65535


class Packer:
    """Collects arrays and says where each begins; equal arrays are kept once.

    All are little-endian, and each begins at a multiple of 4 bytes.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._known: dict[tuple[bytes, str], dict[str, Any]] = {}
        self._size = 0

    def add(self, array: NDArray[Any]) -> dict[str, Any]:
        """Keeps an array of uint8, uint16 or float32 as it is; returns ``type``, ``at`` (bytes) and ``count``."""
        data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        key = (hashlib.sha256(data).digest(), array.dtype.str)
        if key not in self._known:
            self._known[key] = {"type": array.dtype.name, "at": self._size, "count": int(array.size)}
            padded = data + bytes(-len(data) % 4)
            self._parts.append(padded)
            self._size += len(padded)
        return self._known[key]

    def whole(self, array: NDArray[np.integer], largest: int) -> dict[str, Any]:
        """Keeps whole numbers in [0, largest], largest at most 65535, exactly."""
        return self.add(array.astype(np.uint8 if largest < 256 else np.uint16))

    def real(self, array: NDArray[np.floating]) -> dict[str, Any]:
        """Keeps numbers (N,) as the nearest of 65536 steps from the least to the greatest.

        Returns:
            Also ``low`` and ``step``: a number is ``low + step k``, and off by half a step at most (or by less than the smallest
            normal number).
        """
        array = np.asarray(array, dtype=np.float64)
        low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
        # Halves first: the difference of two large numbers may be beyond float64.
        step = (high / STEPS) - (low / STEPS)
        whole = np.zeros(array.shape, dtype=np.uint16) if step == 0 else np.rint((array - low) / step)
        return {**self.add(whole.clip(0, STEPS).astype(np.uint16)), "low": low, "step": step}

    def places(self, xyz: NDArray[np.floating]) -> dict[str, Any]:
        """Keeps coordinates (N, 3), each axis as :meth:`real` does: ``x``, ``y``, ``z``, and the largest error in metres."""
        axes = {name: self.real(xyz[:, axis]) for axis, name in enumerate("xyz")}
        return {**axes, "count": len(xyz), "error": max(axis["step"] for axis in axes.values()) / 2}

    def text(self) -> str:
        """All arrays, deflated (zlib), in base64."""
        return base64.b64encode(zlib.compress(b"".join(self._parts), 6)).decode("ascii")
