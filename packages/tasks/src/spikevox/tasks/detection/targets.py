"""Which anchors stand for which objects, and what a network is to say at each (SECOND, Sensors 2018, section 3.3)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikevox.tasks.datasets.frame import Boxes
from spikevox.tasks.detection.anchors import AnchorClass
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.geometry import encode_boxes, heading_half, nearest_bev_iou

Array = NDArray[np.float64]
BACKGROUND, IGNORED = 0, -1


class AnchorTargets(NamedTuple):
    """Targets of the anchors of one frame, in the shape of the grid (..., where anchors are (..., 7)).

    Attributes:
        classes: (...) int64: number of the class from 1 on, 0 for background, -1 for anchors that count for nothing.
        deltas: (..., 7) float32, from the anchor to its object; 0 where ``classes`` is not positive.
        halves: (...) int64, half of the circle that the object's heading lies in, see
            :func:`~spikevox.tasks.geometry.heading_half`; 0 where ``classes`` is not positive.
    """

    classes: Tensor
    deltas: Tensor
    halves: Tensor


def assign_anchors(
    anchors: Tensor,
    boxes: Boxes,
    classes: Sequence[AnchorClass],
    *,
    overlap: Callable[[Array, Array], Array] = nearest_bev_iou,
) -> AnchorTargets:
    """Targets of anchors from the objects of a frame.

    Anchors of a class look at objects of that class only. An anchor takes the object that it overlaps most, of equal overlaps the
    first. It stands for it if the overlap is at least ``matched``, or if no anchor overlaps some object more and they do
    overlap, so that every object that meets an anchor has one. Other anchors are background if their overlap is below
    ``unmatched``.

    Args:
        anchors: (..., classes, headings, 7), see :func:`~spikevox.tasks.detection.anchor_grid`.
        boxes: objects in the anchors' coordinates; those of other names are left out.
        classes: of the anchors, in their order.
        overlap: of (A, 7) with (B, 7) boxes.

    Raises:
        ConfigError: anchors of another shape.
        BoxError: boxes that :func:`~spikevox.tasks.geometry.check_boxes` refuses, or without size.
    """
    if anchors.ndim < 3 or anchors.shape[-1] != 7 or anchors.shape[-3] != len(classes):
        raise ConfigError(
            f"anchors must have shape (..., {len(classes)}, headings, 7) for {len(classes)} classes, got {tuple(anchors.shape)}."
        )
    found = torch.zeros(anchors.shape[:-1], dtype=torch.int64)
    deltas = torch.zeros(anchors.shape, dtype=torch.float32)
    halves = torch.zeros_like(found)
    for number, one in enumerate(classes):
        mine = anchors[..., number, :, :].reshape(-1, 7)
        objects = boxes.take(np.array([name == one.name for name in boxes.names], dtype=bool)).array()
        states, partner = _assign(mine.numpy().astype(np.float64), objects, one, overlap)
        rows = np.flatnonzero(states > BACKGROUND)
        target = torch.from_numpy(objects[partner[rows]])
        # Written through views of the grid.
        shape = found[..., number, :].shape
        part = torch.zeros(len(mine), 7)
        part[rows] = encode_boxes(target, mine[rows].double()).float()
        half = torch.zeros(len(mine), dtype=torch.int64)
        half[rows] = heading_half(target[:, 6])
        found[..., number, :] = torch.from_numpy(np.where(states > BACKGROUND, number + 1, states)).reshape(shape)
        deltas[..., number, :, :] = part.reshape(*shape, 7)
        halves[..., number, :] = half.reshape(shape)
    return AnchorTargets(found, deltas, halves)


def _assign(
    anchors: Array, objects: Array, one: AnchorClass, overlap: Callable[[Array, Array], Array]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(A,) 1, 0 or -1 of each anchor, and (A,) the object that it overlaps most."""
    if not len(objects):
        return np.zeros(len(anchors), dtype=np.int64), np.zeros(len(anchors), dtype=np.int64)
    table = overlap(anchors, objects)
    partner = table.argmax(axis=1)
    most = table[np.arange(len(table)), partner]
    states = np.where(most < one.unmatched, BACKGROUND, IGNORED)
    best = table.max(axis=0)
    # An anchor that is some object's best stands for the object that it itself overlaps most, which may be another.
    states[((table == best) & (best > 0)).any(axis=1)] = 1
    states[most >= one.matched] = 1
    return states, partner
