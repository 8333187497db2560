"""Losses of a detector with anchors: focal loss for scores, smooth L1 for boxes, cross-entropy for directions."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from spikevox.tasks.detection.targets import BACKGROUND, IGNORED, AnchorTargets


class AnchorOutput(NamedTuple):
    """What a network says at the anchors (Y, X, classes, headings) of each sample.

    Attributes:
        scores: (B, Y, X, classes, headings) logits of an object of the anchor's class.
        deltas: (B, Y, X, classes, headings, 7) from the anchor to its object, see
            :func:`~spikevox.tasks.geometry.encode_boxes`.
        halves: (B, Y, X, classes, headings, 2) logits of the half of the circle that the heading lies in.
    """

    scores: Tensor
    deltas: Tensor
    halves: Tensor


class LossWeights(NamedTuple):
    """Weights of the three losses; by default those of Voxel R-CNN's first stage (arXiv 2012.15712) and of SECOND."""

    score: float = 1.0
    box: float = 2.0
    direction: float = 0.2


def focal_loss(logits: Tensor, targets: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss (Lin et al., ICCV 2017, eq. 5) of binary targets: ``-a (1 - p)^gamma log p``.

    ``p`` is the probability of what the target says, ``a`` is ``alpha`` where it is 1 and ``1 - alpha`` where it is 0.

    Args:
        logits: any shape.
        targets: the same shape, 0 or 1.
        alpha: weight of the ones.
        gamma: how fast the loss of what is known well falls; 0 for cross-entropy.

    Returns:
        The loss of each element.

    Example:
        >>> focal_loss(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0]))
        tensor([0.0433, 0.1300])
    """
    targets = targets.to(logits.dtype)
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    probability = logits.sigmoid()
    doubt = torch.where(targets > 0, 1 - probability, probability)
    weight = torch.where(targets > 0, alpha, 1 - alpha)
    return weight * doubt**gamma * entropy


def box_loss(deltas: Tensor, targets: Tensor, *, beta: float = 1 / 9) -> Tensor:
    """Smooth L1 of deltas, of yaws that of the sine of their difference (SECOND, Sensors 2018, section 3.2.2).

    A box turned by half a circle is as good as the box; which way it points is for the direction to say.

    Args:
        deltas: (..., 7).
        targets: (..., 7).
        beta: difference below which the loss is a square.

    Returns:
        (...) sum over the seven numbers.
    """
    difference = deltas - targets
    difference = torch.cat([difference[..., :6], difference[..., 6:].sin()], dim=-1)
    return functional.smooth_l1_loss(difference, torch.zeros_like(difference), beta=beta, reduction="none").sum(-1)


def anchor_losses(
    output: AnchorOutput, targets: Sequence[AnchorTargets], weights: LossWeights | None = None
) -> dict[str, Tensor]:
    """Losses of a batch: of each sample the sum over its anchors by the number of those that stand for objects; then the mean.

    Args:
        output: of the network.
        targets: of each sample.
        weights: of the three losses.

    Returns:
        ``score_loss``, ``box_loss`` and ``direction_loss``, weighted, as scalars.
    """
    weights = weights or LossWeights()
    device = output.scores.device
    classes, deltas, halves = (torch.stack(parts).to(device) for parts in zip(*targets, strict=True))
    found = classes > BACKGROUND
    # A frame without objects still says what background is.
    count = found.flatten(1).sum(dim=1).clamp(min=1)

    def mean(losses: Tensor, counted: Tensor) -> Tensor:
        # Chosen, not multiplied by 0: what is left out may be anything.
        kept = torch.where(counted, losses, 0)
        return (kept.flatten(1).sum(dim=1) / count).mean()

    direction = functional.cross_entropy(output.halves.movedim(-1, 1), halves, reduction="none")
    return {
        "score_loss": weights.score * mean(focal_loss(output.scores, found), classes != IGNORED),
        "box_loss": weights.box * mean(box_loss(output.deltas, deltas.to(output.deltas.dtype)), found),
        "direction_loss": weights.direction * mean(direction, found),
    }
