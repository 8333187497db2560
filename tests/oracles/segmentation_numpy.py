"""Segmentation, slow and obvious."""

import numpy as np


def mean_jaccard_loss(predicted, labels):
    """``1 - IoU`` of each class that occurs in the labels, averaged."""
    losses = []
    for c in sorted(set(labels.tolist())):
        both = sum(1 for p, y in zip(predicted, labels, strict=True) if p == c and y == c)
        either = sum(1 for p, y in zip(predicted, labels, strict=True) if p == c or y == c)
        losses.append(1 - both / either)
    return float(np.mean(losses))


def merged_labels(clouds):
    """Voxel -> label of clouds that share a sample; -1 where they disagree. ``clouds``: (coordinates, labels)."""
    found = {}
    for coordinates, labels in clouds:
        for voxel, label in zip(coordinates.tolist(), labels.tolist(), strict=True):
            found.setdefault(tuple(voxel), set()).add(label)
    return {voxel: (labels.pop() if len(labels) == 1 else -1) for voxel, labels in found.items()}
