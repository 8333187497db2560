"""Which proposals a second stage learns from, and what it is to say of each.

The rules are those of Part-A2 (arXiv 1907.03670), the numbers those of Voxel R-CNN (arXiv 2012.15712).
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikevox.tasks.errors import BoxError, ConfigError
from spikevox.tasks.geometry import check_boxes, decode_boxes, encode_boxes, iou_3d, wrap_angle

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


class RoiSampling(NamedTuple):
    """How proposals are chosen; overlaps are those of volumes.

    Attributes:
        places: proposals of a frame.
        found_share: of them that may overlap an object by ``found`` or more.
        found: overlap from which a proposal's box is learnt.
        far: overlap below which a proposal is easy background; between ``far`` and ``found`` it is hard.
        hard_share: of the background that is hard, where there are both kinds.
        sure: overlap above which the score to learn is 1.
        unsure: overlap below which it is 0; it rises evenly in between.
    """

    places: int = 128
    found_share: float = 0.5
    found: float = 0.55
    far: float = 0.1
    hard_share: float = 0.8
    sure: float = 0.75
    unsure: float = 0.25


VOXEL_RCNN_SAMPLING = RoiSampling()


class RoiTargets(NamedTuple):
    """Targets of the chosen proposals.

    Attributes:
        rows: (R,) int64, the proposals; background may be there more than once.
        scores: (R,) float32, from 0 to 1.
        deltas: (R, 7) float32, see :func:`encode_rois`; 0 where there is no object.
        found: (R,) whether the deltas are learnt.
    """

    rows: Tensor
    scores: Tensor
    deltas: Tensor
    found: Tensor


def sample_rois(
    proposals: NDArray[np.floating],
    objects: NDArray[np.floating],
    generator: np.random.Generator,
    *,
    proposal_classes: Rows | None = None,
    object_classes: Rows | None = None,
    sampling: RoiSampling = VOXEL_RCNN_SAMPLING,
) -> RoiTargets:
    """Chooses proposals of a frame at random and tells their targets.

    Proposals that overlap an object by ``found`` fill up to their share of the places, each once. The rest is background, drawn
    with repetition, hard and easy by their share. Where there is no background, found proposals are drawn with repetition to
    fill all places.

    Args:
        proposals: (P, 7) x, y, z, length, width, height, yaw; at least one.
        objects: (G, 7) likewise.
        generator: what is drawn from.
        proposal_classes: (P,); a proposal meets objects of its class only. Given together with ``object_classes``.
        object_classes: (G,).
        sampling: numbers, those of Voxel R-CNN by default.

    Returns:
        Targets of ``sampling.places`` proposals, those that found an object first.

    Raises:
        BoxError: no proposal, boxes that :func:`~spikevox.tasks.geometry.check_boxes` refuses or without size.
        ConfigError: classes of one side only.
    """
    boxes, truth = check_boxes(proposals, "proposals"), check_boxes(objects, "objects")
    if not len(boxes):
        raise BoxError("there is no proposal to choose.")
    if (proposal_classes is None) != (object_classes is None):
        raise ConfigError("classes are needed of proposals and objects, or of neither.")
    most, partner = _best(boxes, truth, proposal_classes, object_classes)
    rows = _choose(most, generator, sampling)
    overlap = most[rows]
    scores = np.clip((overlap - sampling.unsure) / (sampling.sure - sampling.unsure), 0, 1)
    deltas = torch.zeros(len(rows), 7)
    met = np.flatnonzero(overlap > 0)
    if len(met):
        pair = truth[partner[rows[met]]], boxes[rows[met]]
        deltas[met] = encode_rois(*map(torch.from_numpy, pair)).float()
    found = torch.from_numpy(overlap >= sampling.found)
    return RoiTargets(torch.from_numpy(rows), torch.from_numpy(scores).float(), deltas, found)


def encode_rois(boxes: Tensor, rois: Tensor) -> Tensor:
    """Deltas (..., 7) of boxes in the coordinates of regions: origin in their middle, x along their heading.

    A box counts as turned by half a circle where that brings it nearer to the region's heading, so that the delta of yaw lies
    within a quarter of a circle. Otherwise as :func:`~spikevox.tasks.geometry.encode_boxes`.
    """
    moved = _turn(boxes[..., :3] - rois[..., :3], -rois[..., 6])
    yaw = wrap_angle(boxes[..., 6] - rois[..., 6], low=-math.pi / 2, period=math.pi)
    local = torch.cat([moved, boxes[..., 3:6], yaw[..., None]], dim=-1)
    return encode_boxes(local, _at_origin(rois))


def decode_rois(deltas: Tensor, rois: Tensor) -> Tensor:
    """Boxes (..., 7) of deltas in the coordinates of regions, the inverse of :func:`encode_rois` but for half turns."""
    local = decode_boxes(deltas, _at_origin(rois))
    centers = _turn(local[..., :3], rois[..., 6]) + rois[..., :3]
    return torch.cat([centers, local[..., 3:6], local[..., 6:] + rois[..., 6:]], dim=-1)


def _at_origin(rois: Tensor) -> Tensor:
    zero = torch.zeros_like(rois)
    return torch.cat([zero[..., :3], rois[..., 3:6], zero[..., 6:]], dim=-1)


def _turn(points: Tensor, angle: Tensor) -> Tensor:
    c, s = torch.cos(angle), torch.sin(angle)
    x, y, z = points.unbind(dim=-1)
    return torch.stack([x * c - y * s, x * s + y * c, z], dim=-1)


def _best(boxes: Array, truth: Array, boxes_of: Rows | None, truth_of: Rows | None) -> tuple[Array, Rows]:
    """(P,) largest overlap of each proposal, and (P,) the object that it is with."""
    if not len(truth):
        return np.zeros(len(boxes)), np.zeros(len(boxes), dtype=np.int64)
    table = iou_3d(boxes, truth)
    if boxes_of is not None and truth_of is not None:
        table *= np.asarray(boxes_of)[:, None] == np.asarray(truth_of)
    return table.max(axis=1), table.argmax(axis=1)


def _choose(most: Array, generator: np.random.Generator, sampling: RoiSampling) -> Rows:
    found = np.flatnonzero(most >= sampling.found)
    hard = np.flatnonzero((most < sampling.found) & (most >= sampling.far))
    easy = np.flatnonzero(most < sampling.far)
    if not len(hard) + len(easy):
        return generator.choice(found, sampling.places)
    kept = generator.permutation(found)[: round(sampling.places * sampling.found_share)]
    left = sampling.places - len(kept)
    hard_count = int(left * sampling.hard_share) if len(hard) and len(easy) else left if len(hard) else 0
    parts = [(hard, hard_count), (easy, left - hard_count)]
    return np.concatenate([kept, *(generator.choice(rows, count) for rows, count in parts if count)])
