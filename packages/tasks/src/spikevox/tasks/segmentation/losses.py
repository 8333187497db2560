"""Losses of segmentation beyond the cross-entropy: weights of rare classes, and Lovasz-softmax."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikevox.tasks.errors import ConfigError


def class_weights(counts: Any, power: float = 0.5) -> NDArray[np.float64]:
    """Weights that grow as classes get rare: ``frequency ** -power``, their mean 1.

    Args:
        counts: (classes,) points of each class. A class that does not occur gets the weight of one point.
        power: 0 for equal weights, 0.5 for 1 / sqrt(frequency), 1 for 1 / frequency.

    Raises:
        ConfigError: no counts, or negative ones, or a power outside [0, 1].

    Example:
        >>> class_weights([400, 100]).round(4).tolist()
        [0.6667, 1.3333]
    """
    values = np.asarray(counts, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not (values >= 0).all() or not values.sum() or not 0 <= power <= 1:
        raise ConfigError(
            f"class_weights takes counts from 0 on, not all 0, and a power in [0, 1], got {counts}, {power}."
        )
    weights = (np.maximum(values, 1) / values.sum()) ** -power
    return weights / weights.mean()


def lovasz_softmax(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Lovasz-softmax (Berman et al., CVPR 2018): the convex extension of ``1 - IoU``, its mean over the classes present.

    Args:
        probabilities: (N, classes) floating, each row sums to 1.
        labels: (N,) int64 in [0, classes).

    Returns:
        A scalar; for probabilities that are 0 or 1 exactly ``1 - IoU`` of each class, averaged over the classes that
        occur in ``labels``. 0 where there are no rows.

    Example:
        >>> lovasz_softmax(torch.eye(3), torch.tensor([0, 1, 1]))
        tensor(0.2500)
    """
    if len(labels) == 0:
        return probabilities.sum() * 0
    losses = []
    for label in labels.unique():
        truth = (labels == label).to(probabilities.dtype)
        # How far each probability is from what it should be: the largest first.
        errors, order = (truth - probabilities[:, label]).abs().sort(descending=True)
        losses.append(errors @ _jaccard_steps(truth[order]))
    return torch.stack(losses).mean()


def _jaccard_steps(truth: Tensor) -> Tensor:
    """(N,) by how much ``1 - IoU`` grows as one row after the other is taken to be wrong; ``truth`` is 0 or 1."""
    positives = truth.sum()
    intersection = positives - truth.cumsum(0)
    union = positives + (1 - truth).cumsum(0)
    loss = 1 - intersection / union
    return torch.cat([loss[:1], loss[1:] - loss[:-1]])
