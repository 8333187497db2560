"""Losses of a second stage: cross-entropy of scores, smooth L1 of deltas, distance of corners (Voxel R-CNN)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from spikevox.tasks.detection.roi_head import RoiOutput
from spikevox.tasks.detection.roi_targets import RoiTargets, decode_rois


class RoiWeights(NamedTuple):
    """Weights of the three losses; by default those of Voxel R-CNN."""

    score: float = 1.0
    box: float = 1.0
    corner: float = 1.0


def corners_of(boxes: Tensor) -> Tensor:
    """(R, 8, 3) corners of boxes (R, 7), which gradients pass: back before front, right before left, bottom before top."""
    signs = torch.cartesian_prod(*[boxes.new_tensor([-0.5, 0.5])] * 3)
    c, s = torch.cos(boxes[:, 6:]), torch.sin(boxes[:, 6:])
    x, y, z = (signs * boxes[:, None, 3:6]).unbind(dim=-1)
    return torch.stack([x * c - y * s, x * s + y * c, z], dim=-1) + boxes[:, None, :3]


def corner_loss(boxes: Tensor, truth: Tensor) -> Tensor:
    """(R,) mean over the corners of the Huber loss of their distance (F-PointNet, CVPR 2018); a half turn costs nothing.

    Args:
        boxes: (R, 7).
        truth: (R, 7).
    """
    turned = torch.cat([truth[:, :6], truth[:, 6:] + torch.pi], dim=1)
    found = corners_of(boxes)
    distance = torch.stack([(found - corners_of(one)).norm(dim=-1) for one in (truth, turned)]).amin(dim=0)
    return functional.smooth_l1_loss(distance, torch.zeros_like(distance), reduction="none").mean(dim=1)


def roi_losses(
    output: RoiOutput, rois: Tensor, targets: Sequence[RoiTargets], weights: RoiWeights | None = None
) -> dict[str, Tensor]:
    """Losses over the proposals of a batch.

    Args:
        output: of the head.
        rois: (R, 7) proposals, sample after sample.
        targets: of each sample.
        weights: of the losses.

    Returns:
        ``roi_score_loss``, mean over all proposals; ``roi_box_loss`` and ``roi_corner_loss``, means over those that found an
        object.
    """
    weights = weights or RoiWeights()
    device, dtype = output.scores.device, output.scores.dtype
    scores = torch.cat([target.scores for target in targets]).to(device, dtype)
    deltas = torch.cat([target.deltas for target in targets]).to(device, dtype)
    found = torch.cat([target.found for target in targets]).to(device)
    count = found.sum().clamp(min=1)
    boxes = functional.smooth_l1_loss(output.deltas[found], deltas[found], beta=1 / 9, reduction="sum")
    kept = rois[found].to(device, dtype)
    corners = corner_loss(decode_rois(output.deltas[found], kept), decode_rois(deltas[found], kept))
    return {
        "roi_score_loss": weights.score * functional.binary_cross_entropy_with_logits(output.scores, scores),
        "roi_box_loss": weights.box * boxes / count,
        "roi_corner_loss": weights.corner * corners.sum() / count,
    }
