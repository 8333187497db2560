"""Non-maximum suppression: of boxes that overlap, the one with the best score stays."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spikevox.layers import native, native_boxes
from spikevox.tasks.errors import BoxError
from spikevox.tasks.geometry.boxes import check_boxes
from spikevox.tasks.geometry.rotated_iou import bev_iou, box_overlaps, iou_3d

Array = NDArray[np.float64]
_KIND = {bev_iou: native_boxes.FROM_ABOVE, iou_3d: native_boxes.IN_SPACE}


def non_maximum_suppression(
    boxes: NDArray[np.floating],
    scores: NDArray[np.floating],
    threshold: float,
    *,
    classes: NDArray[np.integer] | None = None,
    most: int | None = None,
    overlap: Callable[..., Array] = bev_iou,
) -> NDArray[np.int64]:
    """Rows of the boxes that stay, the best score first.

    Boxes are taken in the order of their scores, of equal scores the earlier row first. One that overlaps a box taken before
    by more than ``threshold`` is dropped.

    Args:
        boxes: (B, 7) x, y, z, length, width, height, yaw, in metres and radians.
        scores: (B,), finite.
        threshold: from 0 to 1.
        classes: (B,); only boxes of the same class suppress each other. All are of one class where not given.
        most: rows to keep at most; all by default.
        overlap: :func:`~spikevox.tasks.geometry.bev_iou` or :func:`~spikevox.tasks.geometry.iou_3d`.

    Raises:
        BoxError: boxes that :func:`~spikevox.tasks.geometry.check_boxes` refuses, scores that are not finite or of another
            length, or a threshold outside 0 to 1.

    Example:
        >>> car = [0.0, 0, 0, 4, 2, 1.5, 0]
        >>> non_maximum_suppression(np.array([car, car, [9.0, 0, 0, 4, 2, 1.5, 0]]), np.array([0.3, 0.8, 0.5]), 0.5)
        array([1, 2])
    """
    boxes, scores = check_boxes(boxes), np.asarray(scores)
    if scores.shape != (len(boxes),) or not np.isfinite(scores).all():
        raise BoxError(f"scores must be {len(boxes)} finite numbers, one a box, got shape {scores.shape}.")
    if classes is not None and np.shape(classes) != (len(boxes),):
        raise BoxError(f"classes must be {len(boxes)} numbers, one a box, got shape {np.shape(classes)}.")
    if not 0 <= threshold <= 1 or overlap not in _KIND or (most is not None and most < 0):
        raise BoxError(
            f"threshold lies between 0 and 1, most is not negative and overlap is bev_iou or iou_3d; got {threshold}, {most} "
            f"and {overlap}."
        )
    order = np.argsort(-scores, kind="stable")
    ordered = np.ascontiguousarray(boxes[order])
    groups = None if classes is None else np.ascontiguousarray(np.asarray(classes)[order], dtype=np.int64)
    take = native_boxes.suppress_boxes if native.available() else suppress_boxes
    return order[take(ordered, groups, _KIND[overlap], threshold, len(boxes) if most is None else most)]


def suppress_boxes(
    boxes: Array, groups: NDArray[np.int64] | None, kind: int, threshold: float, most: int
) -> NDArray[np.int64]:
    """In numpy what :func:`spikevox.layers.native_boxes.suppress_boxes` does."""
    free = np.ones(len(boxes), dtype=bool)
    kept: list[int] = []
    for row in range(len(boxes)):
        if not free[row] or len(kept) >= most:
            continue
        kept.append(row)
        later = np.flatnonzero(free[row + 1 :]) + row + 1
        if groups is not None:
            later = later[groups[later] == groups[row]]
        free[later[box_overlaps(boxes[[row]], boxes[later], kind)[0] > threshold]] = False
    return np.array(kept, dtype=np.int64)
