"""Intersection over union of boxes that are turned about their vertical axis, seen from above and in space.

The compiled library does the work where it was built; the same in numpy stands here for installations without a compiler.
Both are exact up to rounding: no sampling, and no case that rounding could take for another.
"""

import numpy as np
from numpy.typing import NDArray

from spikevox.layers import native, native_boxes
from spikevox.tasks.errors import BoxError
from spikevox.tasks.geometry.boxes import check_boxes

Array = NDArray[np.float64]
# Pairs that numpy takes at a time, so that what it keeps in between stays some megabytes.
_PAIRS = 1 << 14
_NOISE = 1e-14


def bev_iou(a: NDArray[np.floating], b: NDArray[np.floating], *, paired: bool = False) -> Array:
    """Intersection over union seen from above.

    Args:
        a: (A, 7) boxes x, y, z, length, width, height, yaw, in metres and radians.
        b: (B, 7) likewise.
        paired: compare only boxes in the same place.

    Returns:
        (A, B), or (A,) where ``paired``; float64 from 0 to 1, 0 for two boxes without area. It is within 1e-12 of the exact
        value for boxes of metres at coordinates of hundreds of metres.

    Raises:
        BoxError: a box that :func:`~spikevox.tasks.geometry.check_boxes` refuses, or pairs of unequal number.

    Example:
        >>> bev_iou(np.array([[0.0, 0, 0, 4, 2, 1, 0]]), np.array([[1.0, 0, 0, 4, 2, 1, 0], [0, 0, 0, 2, 4, 1, np.pi / 2]]))
        array([[0.6, 1. ]])
    """
    return _overlap(a, b, native_boxes.FROM_ABOVE, paired)


def iou_3d(a: NDArray[np.floating], b: NDArray[np.floating], *, paired: bool = False) -> Array:
    """Intersection over union of volumes; arguments, result and errors as of :func:`bev_iou`.

    Example:
        >>> iou_3d(np.array([[0.0, 0, 0, 4, 2, 1, 0]]), np.array([[0.0, 0, 0.5, 4, 2, 1, 0]])).round(6)
        array([[0.333333]])
    """
    return _overlap(a, b, native_boxes.IN_SPACE, paired)


def nearest_bev_iou(a: NDArray[np.floating], b: NDArray[np.floating]) -> Array:
    """(A, B) intersection over union seen from above of boxes turned to the nearest axis, as anchors are matched (SECOND).

    A box of more than an eighth of a turn counts as one of a quarter. Arguments and errors as of :func:`bev_iou`.

    Example:
        >>> nearest_bev_iou(np.array([[0.0, 0, 0, 4, 2, 1, 0.3]]), np.array([[0.0, 0, 0, 4, 2, 1, 1.3]])).round(6)
        array([[0.333333]])
    """
    first, second = (_aligned(check_boxes(boxes, name)) for boxes, name in ((a, "first boxes"), (b, "second boxes")))
    low = np.maximum(first[:, None, :2], second[:, :2])
    high = np.minimum(first[:, None, 2:], second[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    union = _area(first)[:, None] + _area(second) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)


def _aligned(boxes: Array) -> Array:
    """(B, 4) lowest x and y, highest x and y."""
    turned = np.abs((boxes[:, 6] + np.pi / 2) % np.pi - np.pi / 2) > np.pi / 4
    half = np.where(turned[:, None], boxes[:, [4, 3]], boxes[:, 3:5]) / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _area(rectangles: Array) -> Array:
    return (rectangles[:, 2:] - rectangles[:, :2]).prod(axis=1)


def _overlap(a: NDArray[np.floating], b: NDArray[np.floating], kind: int, paired: bool) -> Array:
    a, b = check_boxes(a, "first boxes"), check_boxes(b, "second boxes")
    if paired and len(a) != len(b):
        raise BoxError(f"pairs need as many first as second boxes, got {len(a)} and {len(b)}.")
    if native.available():
        return (native_boxes.paired_box_overlaps if paired else native_boxes.box_overlaps)(a, b, kind)
    return paired_overlaps(a, b, kind) if paired else box_overlaps(a, b, kind)


def box_overlaps(a: Array, b: Array, kind: int) -> Array:
    """In numpy what :func:`spikevox.layers.native_boxes.box_overlaps` does."""
    reach = np.hypot(a[:, 3], a[:, 4])[:, None] / 2 + np.hypot(b[:, 3], b[:, 4]) / 2
    near = (a[:, 0, None] - b[:, 0]) ** 2 + (a[:, 1, None] - b[:, 1]) ** 2 <= reach**2
    first, second = np.nonzero(near)
    result = np.zeros((len(a), len(b)))
    result[first, second] = paired_overlaps(a[first], b[second], kind)
    return result


def paired_overlaps(a: Array, b: Array, kind: int) -> Array:
    """In numpy what :func:`spikevox.layers.native_boxes.paired_box_overlaps` does."""
    result = np.zeros(len(a))
    for start in range(0, len(a), _PAIRS):
        part = slice(start, start + _PAIRS)
        result[part] = _some_pairs(a[part], b[part], kind)
    return result


def _some_pairs(a: Array, b: Array, kind: int) -> Array:
    shared = _shared_area(a, b)
    size_a, size_b = a[:, 3] * a[:, 4], b[:, 3] * b[:, 4]
    if kind == native_boxes.IN_SPACE:
        # From the distance of the middles: tops and bottoms would lose a thin box's height to rounding.
        tall = np.minimum((a[:, 5] + b[:, 5]) / 2 - np.abs(a[:, 2] - b[:, 2]), np.minimum(a[:, 5], b[:, 5]))
        shared = shared * np.maximum(tall, 0)
        size_a, size_b = size_a * a[:, 5], size_b * b[:, 5]
    shared = np.minimum(shared, np.minimum(size_a, size_b))
    union = size_a + size_b - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)


def _shared_area(a: Array, b: Array) -> Array:
    """(P,) area that boxes in the same place share, seen from above.

    The outline of ``b``, seen from ``a``, is drawn with every point moved to the nearest one of ``a``. That keeps how often it
    runs around each point inside ``a`` and lies within ``a``, so the area that it encloses is the shared one. The moved outline
    bends only where an edge crosses a line that a side of ``a`` lies on, four times an edge at most.
    """
    c, s, turn = np.cos(a[:, 6]), np.sin(a[:, 6]), b[:, 6] - a[:, 6]
    dx, dy = b[:, 0] - a[:, 0], b[:, 1] - a[:, 1]
    middle = np.stack([dx * c + dy * s, dy * c - dx * s], axis=-1)
    along = np.stack([np.cos(turn), np.sin(turn)], axis=-1) * b[:, 3, None] / 2
    across = np.stack([-np.sin(turn), np.cos(turn)], axis=-1) * b[:, 4, None] / 2
    corners = middle[:, None] + np.stack([along + across, across - along, -along - across, along - across], axis=1)
    steps = np.roll(corners, -1, axis=1) - corners
    half = a[:, None, 3:5] / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = np.stack([(line - corners) / steps for line in (-half, half)], axis=-1).reshape(len(a), 4, 4)
    # An edge along an axis never crosses that axis's lines: where it bends for them does not matter.
    crossings = np.sort(np.clip(np.nan_to_num(crossings, nan=0.0), 0, 1), axis=-1)
    at = np.concatenate([np.zeros_like(crossings[..., :1]), crossings], axis=-1)[..., None]
    bends = np.clip(corners[:, :, None] + at * steps[:, :, None], -half[:, None], half[:, None]).reshape(len(a), 20, 2)
    following = np.roll(bends, -1, axis=1)
    twice = (bends[..., 0] * following[..., 1] - bends[..., 1] * following[..., 0]).sum(axis=1)
    # Rounding of the sum is less: boxes that do not meet share nothing.
    return np.where(twice / 2 > _NOISE * a[:, 3] * a[:, 4], twice / 2, 0)
