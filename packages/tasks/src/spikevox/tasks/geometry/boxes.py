"""Upright boxes as tables of seven numbers: their check, their corners, the points in them."""

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.errors import BoxError

# Products of larger numbers would leave no digits for what tells two boxes apart.
LARGEST = 1e8


def check_boxes(boxes: NDArray[np.floating], name: str = "boxes") -> NDArray[np.float64]:
    """The boxes as contiguous float64.

    Args:
        boxes: (B, 7): centre x, y, z; length (along the heading), width, height in metres; yaw about z in radians.
        name: for messages.

    Raises:
        BoxError: another shape, numbers that are not finite or reach 1e8, or negative sizes; names the rows.
    """
    array = np.ascontiguousarray(boxes, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 7:
        raise BoxError(f"{name} must have shape (B, 7): x, y, z, length, width, height, yaw; got {array.shape}.")
    # Written so that NaN is bad too.
    bad = np.flatnonzero(~(np.abs(array) < LARGEST).all(axis=1) | (array[:, 3:6] < 0).any(axis=1))
    if len(bad):
        raise BoxError(
            f"{len(bad)} of {len(array)} {name} have numbers that are not finite or reach {LARGEST:g}, or negative sizes "
            f"(first rows: {bad[:5].tolist()}). Remove them, or mend what made them.",
            tuple(bad.tolist()),
        )
    return array


def box_corners(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B, 8, 3) corners of boxes (B, 7): back before front, right before left, bottom before top."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
    local = signs * boxes[:, None, 3:6] / 2
    c, s = np.cos(boxes[:, 6])[:, None], np.sin(boxes[:, 6])[:, None]
    x, y = local[..., 0] * c - local[..., 1] * s, local[..., 0] * s + local[..., 1] * c
    return np.stack([x, y, local[..., 2]], axis=-1) + boxes[:, None, :3]


def points_in_boxes(boxes: NDArray[np.float64], points: NDArray[np.floating]) -> NDArray[np.int64]:
    """(P,) the box (B, 7) that each point (P, 3 or more) lies in, its faces included; -1 for none, of several the first."""
    result = np.full(len(points), -1, dtype=np.int64)
    for row in range(len(boxes) - 1, -1, -1):
        result[_inside(boxes[row], points)] = row
    return result


def count_points(boxes: NDArray[np.float64], points: NDArray[np.floating]) -> NDArray[np.int64]:
    """(B,) how many of the points (P, 3 or more) lie in each box (B, 7); one in several counts in each."""
    ordered = points[np.argsort(points[:, 0])]
    reach = np.hypot(boxes[:, 3], boxes[:, 4]) / 2
    first = np.searchsorted(ordered[:, 0], boxes[:, 0] - reach - 1e-3)
    last = np.searchsorted(ordered[:, 0], boxes[:, 0] + reach + 1e-3)
    counts = [_inside(box, ordered[a:b]).sum() for box, a, b in zip(boxes, first, last, strict=True)]
    return np.array(counts, dtype=np.int64)


def _inside(box: NDArray[np.float64], points: NDArray[np.floating]) -> NDArray[np.bool_]:
    moved = points[:, :3] - box[:3]
    c, s = np.cos(box[6]), np.sin(box[6])
    along, across = moved[:, 0] * c + moved[:, 1] * s, moved[:, 1] * c - moved[:, 0] * s
    half = box[3:6] / 2
    inside: NDArray[np.bool_] = (
        (np.abs(along) <= half[0]) & (np.abs(across) <= half[1]) & (np.abs(moved[:, 2]) <= half[2])
    )
    return inside
