"""Boxes told as deltas from anchors, and back (VoxelNet, arXiv 1711.06396, eq. 1; SECOND, Sensors 2018)."""

import torch
from torch import Tensor

from spikevox.tasks.errors import BoxError


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Deltas that lead from anchors to boxes.

    The centre moves in units of the anchor's diagonal seen from above and of its height, sizes are logarithms of ratios and
    the yaw is a difference, which is not brought into any range.

    Args:
        boxes: (..., 7) x, y, z, length, width, height, yaw; sizes positive.
        anchors: (..., 7) likewise.

    Returns:
        (..., 7) deltas of the same numbers; :func:`decode_boxes` gives the boxes back.

    Raises:
        BoxError: another last dimension, or sizes that are not positive.
    """
    _check(boxes, "boxes")
    _check(anchors, "anchors")
    moved = (boxes[..., :3] - anchors[..., :3]) / _units(anchors)
    ratios = torch.log(boxes[..., 3:6] / anchors[..., 3:6])
    return torch.cat([moved, ratios, boxes[..., 6:] - anchors[..., 6:]], dim=-1)


def decode_boxes(deltas: Tensor, anchors: Tensor) -> Tensor:
    """Boxes (..., 7) that deltas (..., 7) lead to from anchors (..., 7).

    Raises:
        BoxError: another last dimension, or anchors whose sizes are not positive.
    """
    if deltas.shape[-1:] != (7,):
        raise BoxError(f"deltas must have shape (..., 7), got {tuple(deltas.shape)}.")
    _check(anchors, "anchors")
    centers = deltas[..., :3] * _units(anchors) + anchors[..., :3]
    sizes = torch.exp(deltas[..., 3:6]) * anchors[..., 3:6]
    return torch.cat([centers, sizes, deltas[..., 6:] + anchors[..., 6:]], dim=-1)


def _units(anchors: Tensor) -> Tensor:
    diagonal = torch.hypot(anchors[..., 3:4], anchors[..., 4:5])
    return torch.cat([diagonal, diagonal, anchors[..., 5:6]], dim=-1)


def _check(boxes: Tensor, name: str) -> None:
    if boxes.shape[-1:] != (7,):
        raise BoxError(f"{name} must have shape (..., 7), got {tuple(boxes.shape)}.")
    wrong = ~(boxes[..., 3:6] > 0).all(dim=-1)
    if wrong.any():
        raise BoxError(f"{int(wrong.sum())} of {wrong.numel()} {name} have sizes that are not positive.")
