"""Boxes as a camera sees them."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.geometry.boxes import box_corners, check_boxes

# Corners of a box that an edge joins: those that differ in one bit, see box_corners.
_EDGES = [(a, b) for a, b in combinations(range(8), 2) if bin(a ^ b).count("1") == 1]


class ImageBoxes(NamedTuple):
    """What an image shows of boxes.

    Attributes:
        boxes: (B, 4) float64, left, top, right, bottom in pixels, clipped to the image; -1 where nothing lies before the
            camera.
        truncated: (B,) float64, share of the unclipped rectangle that lies outside the image, 1 for all of it; -1 where
            nothing lies before the camera.
    """

    boxes: NDArray[np.float64]
    truncated: NDArray[np.float64]


def image_boxes(
    boxes: NDArray[np.floating], projection: NDArray[np.floating], image_size: tuple[int, int], *, near: float = 0.1
) -> ImageBoxes:
    """Rectangles around what a camera sees of boxes.

    Of a box that reaches behind the camera the part counts that lies before the plane at ``near``.

    Args:
        boxes: (B, 7) x, y, z, length, width, height, yaw, in metres and radians.
        projection: (3, 4) from the boxes' coordinates to pixels times depth, and depth in metres.
        image_size: width and height in pixels.
        near: depth in metres from which on a box is seen.

    Raises:
        BoxError: boxes that :func:`~spikevox.tasks.geometry.check_boxes` refuses.
    """
    corners = box_corners(check_boxes(boxes))
    seen = corners @ projection[:, :3].T + projection[:, 3]
    limit = np.array([*image_size, *image_size], dtype=np.float64) - 1
    found, truncated = np.full((len(seen), 4), -1.0), np.full(len(seen), -1.0)
    for row, box in enumerate(seen):
        visible = _before(box, near)
        if len(visible):
            pixels = visible[:, :2] / visible[:, 2:]
            whole = np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])
            found[row] = np.clip(whole, 0, limit)
            truncated[row] = 1 - _area(found[row]) / _area(whole) if _area(whole) > 0 else 0.0
    return ImageBoxes(found, truncated)


def _before(corners: NDArray[np.float64], near: float) -> NDArray[np.float64]:
    """(V, 3) corners (8, 3) with a depth of ``near`` or more, and where edges cross that depth."""
    depth = corners[:, 2]
    points = [corners[depth >= near]]
    for a, b in _EDGES:
        if (depth[a] < near) != (depth[b] < near):
            share = (near - depth[a]) / (depth[b] - depth[a])
            points.append((corners[a] + share * (corners[b] - corners[a]))[None])
    return np.concatenate(points)


def _area(box: NDArray[np.float64]) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))
