"""Losses of a detector that finds centres: focal loss of their heat, L1 of what is told of them (CenterPoint, CVPR 2021)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from spikevox.tasks.detection.centre_targets import CODE, CentreTargets


class GroupOutput(NamedTuple):
    """What a network says of one group of classes at each of N sites.

    Attributes:
        heat: (N, classes) logits that an object of the class has its middle there.
        codes: (N, 10) of such an object, see :func:`~spikevox.tasks.detection.encode_centres`; (N, 8) without velocities.
    """

    heat: Tensor
    codes: Tensor


class CentreOutput(NamedTuple):
    """What a network says at the sites of a batch.

    Attributes:
        samples: (N,) int64, sample of each site, ascending.
        sites: (N, 2) int64, x and y in cells.
        batch_size: B, samples without sites included.
        groups: of each group of classes.
    """

    samples: Tensor
    sites: Tensor
    batch_size: int
    groups: tuple[GroupOutput, ...]


class CentreWeights(NamedTuple):
    """Weights of the losses, by default those of VoxelNeXt for nuScenes; ``velocity`` is a factor on ``box``."""

    heat: float = 1.0
    box: float = 0.25
    velocity: float = 0.2


def heat_loss(logits: Tensor, heat: Tensor) -> Tensor:
    """Focal loss of heat (CornerNet, ECCV 2018, eq. 1, with alpha 2 and beta 4), summed.

    ``-(1 - p)^2 log p`` where the heat is 1, ``-(1 - heat)^4 p^2 log(1 - p)`` elsewhere.

    Args:
        logits: any shape.
        heat: the same shape, from 0 to 1.

    Example:
        >>> heat_loss(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.5]))
        tensor(0.1841)
    """
    probability = logits.sigmoid()
    peak = heat == 1
    of_peaks = (1 - probability) ** 2 * functional.logsigmoid(logits)
    of_others = (1 - heat) ** 4 * probability**2 * functional.logsigmoid(-logits)
    return -torch.where(peak, of_peaks, of_others).sum()


def centre_losses(
    output: CentreOutput, targets: Sequence[CentreTargets], weights: CentreWeights | None = None
) -> dict[str, Tensor]:
    """Losses of a batch, summed over groups: of each group by the number of its objects in the batch.

    Args:
        output: of the network.
        targets: of each group, over all sites of the batch.
        weights: of the losses.

    Returns:
        ``heat_loss`` and ``box_loss``, weighted, as scalars.
    """
    weights = weights or CentreWeights()
    heat = box = output.groups[0].heat.new_zeros(())
    for group, target in zip(output.groups, targets, strict=True):
        # A batch without objects still says what background is. Two objects that share a site and a class are one peak.
        peaks = (target.heat == 1).sum().clamp(min=1)
        heat = heat + heat_loss(group.heat, target.heat.to(group.heat)) / peaks
        box = box + code_loss(group.codes[target.rows], target.codes, weights.velocity) / max(1, len(target.rows))
    return {"heat_loss": weights.heat * heat, "box_loss": weights.box * box}


def code_loss(codes: Tensor, targets: Tensor, velocity: float) -> Tensor:
    """Sum of absolute differences of codes (M, 8 or 10) from targets (M, 10); what a target does not know counts for nothing.

    Args:
        codes: of the network.
        targets: with NaN where they are not known.
        velocity: factor on those of velocities.
    """
    targets = targets[:, : codes.shape[1]].to(codes)
    known = targets.isfinite()
    # Chosen, not multiplied by 0: the gradient of what is left out stays finite.
    differences = torch.where(known, codes - torch.where(known, targets, 0), 0).abs()
    factors = codes.new_tensor([1.0] * 8 + [velocity] * (len(CODE) - 8))
    return (differences * factors[: codes.shape[1]]).sum()
