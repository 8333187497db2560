"""Overlap of upright boxes and their non-maximum suppression, from the compiled library.

Boxes are (B, 7) float64: centre x, y, z; length, width, height in metres; yaw in radians. Any number of threads gives the
same bits.
"""

import ctypes
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikevox.layers import native

Array = NDArray[np.float64]
FROM_ABOVE, IN_SPACE = 0, 1


def box_overlaps(a: Array, b: Array, kind: int) -> Array:
    """(A, B) intersection over union, seen from above or in space.

    Args:
        a: (A, 7).
        b: (B, 7).
        kind: ``FROM_ABOVE`` or ``IN_SPACE``.

    Raises:
        BackendError: numbers that are not finite or reach 1e8, or negative sizes.
    """
    result = np.empty((len(a), len(b)))
    native.check(
        native.library().spikevox_box_overlaps(
            *(_boxes(a, "a"), len(a), _boxes(b, "b"), len(b), kind, result.ctypes.data, torch.get_num_threads())
        )
    )
    return result


def paired_box_overlaps(a: Array, b: Array, kind: int) -> Array:
    """(B,) intersection over union of boxes (B, 7) in the same place of both tables; raises as :func:`box_overlaps`."""
    if len(a) != len(b):
        raise TypeError(f"a and b must have as many boxes, got {len(a)} and {len(b)}.")
    result = np.empty(len(a))
    native.check(
        native.library().spikevox_box_pairs(
            *(_boxes(a, "a"), _boxes(b, "b"), len(a), kind, result.ctypes.data, torch.get_num_threads())
        )
    )
    return result


def suppress_boxes(
    boxes: Array, groups: NDArray[np.int64] | None, kind: int, threshold: float, most: int
) -> NDArray[np.int64]:
    """Rows that non-maximum suppression keeps of boxes in the order of their scores, the best first.

    Args:
        boxes: (B, 7).
        groups: (B,); boxes of different groups do not suppress each other. One group where not given.
        kind: ``FROM_ABOVE`` or ``IN_SPACE``.
        threshold: a box that overlaps a kept one by more is dropped.
        most: rows to keep at most.

    Raises:
        BackendError: as :func:`box_overlaps`, or a threshold outside 0 to 1.
    """
    if groups is not None and groups.shape != (len(boxes),):
        raise TypeError(f"groups must have shape ({len(boxes)},), got {groups.shape}.")
    kept, count = np.empty(len(boxes), dtype=np.int64), ctypes.c_int64()
    native.check(
        native.library().spikevox_box_suppress(
            *(_boxes(boxes, "boxes"), None if groups is None else _address(groups, np.int64, "groups"), len(boxes)),
            *(kind, threshold, most, kept.ctypes.data, ctypes.byref(count)),
        )
    )
    return kept[: count.value]


def _boxes(boxes: Array, name: str) -> int:
    if boxes.ndim != 2 or boxes.shape[1] != 7:
        raise TypeError(f"{name} must have shape (B, 7), got {boxes.shape}.")
    return _address(boxes, np.float64, name)


def _address(values: NDArray[Any], dtype: type[np.generic], name: str) -> int:
    if values.dtype != dtype or not values.flags.c_contiguous:
        raise TypeError(
            f"{name} must be a contiguous {np.dtype(dtype).name} array, got {values.dtype} with strides {values.strides}."
        )
    return values.ctypes.data
