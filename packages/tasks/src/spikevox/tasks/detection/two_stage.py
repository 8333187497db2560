"""Voxel R-CNN with spikes: the boxes of a first stage, judged and mended by the voxels that lie in them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikevox.layers import SparseTensor
from spikevox.layers.energy import uncounted
from spikevox.tasks.build import build
from spikevox.tasks.datasets.frame import Boxes
from spikevox.tasks.detection.anchor_head import LARGEST_RATIO, BoxChoice, best_boxes
from spikevox.tasks.detection.detector import options_of
from spikevox.tasks.detection.losses import AnchorOutput
from spikevox.tasks.detection.roi_loss import RoiWeights, roi_losses
from spikevox.tasks.detection.roi_targets import VOXEL_RCNN_SAMPLING, RoiSampling, decode_rois, sample_rois
from spikevox.tasks.detection.single_stage import SingleStageDetector
from spikevox.tasks.geometry import wrap_angle

# E-3DSNN's numbers for KITTI: proposals in training and in test, and what is given in the end.
_TRAINING = BoxChoice(0.0, 0.8, 9000, 512)
_TEST = BoxChoice(0.0, 0.7, 2048, 100)
_FINAL = BoxChoice(0.3, 0.1, 4096, 500)


class TwoStageDetector(SingleStageDetector):
    """E-3DSNN's KITTI detector.

    Args:
        backbone: see :class:`SingleStageDetector`; it also gives ``membranes`` of ``stage_channels``.
        bev: likewise.
        head: likewise.
        roi_head: or ``dict(type=RoiHead, ...)``; its ``stage_channels`` need not be told.
        training_proposals: ``score``, ``overlap``, ``candidates`` and ``most`` of the boxes that the second stage learns from.
        test_proposals: likewise in a test.
        both_scores: whether a box's score is the geometric mean of what both stages say; that of the second one by default, as
            published.
        sampling: which of them, see :class:`~spikevox.tasks.detection.RoiSampling`.
        roi_loss_weights: of the second stage's ``score``, ``box`` and ``corner``, 1 by default.
        choice: of what is detected in the end.
        **options: see :class:`SingleStageDetector`.

    Raises:
        ConfigError: parts or options that do not fit.

    Example:
        >>> from spikevox.layers.backbones import BevBackbone, Voxel8x
        >>> from spikevox.tasks.detection import KITTI_CAR, AnchorHead, RoiHead
        >>> head = AnchorHead(256, [KITTI_CAR], (0, -40, 70.4, 40))
        >>> roi_head = RoiHead((32, 64, 64), (0.05, 0.05, 0.1), (0, -40, -3))
        >>> detector = TwoStageDetector(Voxel8x(4, grid=(1408, 1600, 41)), BevBackbone(256), head, roi_head)
        >>> sum(p.numel() for p in detector.parameters())
        8597116
    """

    def __init__(
        self,
        backbone: nn.Module | dict[str, Any],
        bev: nn.Module | dict[str, Any],
        head: nn.Module | dict[str, Any],
        roi_head: nn.Module | dict[str, Any],
        *,
        training_proposals: Mapping[str, float] | None = None,
        test_proposals: Mapping[str, float] | None = None,
        both_scores: bool = False,
        sampling: Mapping[str, float] | None = None,
        roi_loss_weights: Mapping[str, float] | None = None,
        choice: Mapping[str, float] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(backbone, bev, head, choice={**_FINAL._asdict(), **(choice or {})}, **options)
        self.roi_head = build(roi_head, stage_channels=self.backbone.stage_channels)
        self.training_proposals = options_of(_TRAINING, training_proposals, "training_proposals")
        self.test_proposals = options_of(_TEST, test_proposals, "test_proposals")
        self.both_scores = both_scores
        self.sampling: RoiSampling = options_of(VOXEL_RCNN_SAMPLING, sampling, "sampling")
        self.roi_loss_weights = options_of(RoiWeights(), roi_loss_weights, "roi_loss_weights")

    def first_stage(self) -> SingleStageDetector:
        """The same modules without the second stage: whose weights a training may begin with."""
        return SingleStageDetector(self.backbone, self.bev, self.head, backend=self.backend)

    @torch.no_grad()
    def detect(self, output: AnchorOutput, membranes: Sequence[SparseTensor]) -> list[Boxes]:
        """Boxes with scores of each sample."""
        proposals = self.head.boxes(output, self.test_proposals)
        rois = [self._table(one, output) for one in proposals]
        found = self.roi_head(membranes, rois)
        counts = [len(one) for one in rois]
        with uncounted("boxes from what is said of proposals"):
            parts = zip(found.scores.sigmoid().split(counts), found.deltas.split(counts), strict=True)
            return [self._judge(*part, one) for part, one in zip(parts, proposals, strict=True)]

    def losses(
        self, output: AnchorOutput, membranes: Sequence[SparseTensor], boxes: Sequence[Boxes]
    ) -> dict[str, Tensor]:
        """Losses of both stages; proposals to learn from are drawn from torch's generator."""
        losses = super().losses(output, membranes, boxes)
        generator = np.random.default_rng(int(torch.randint(2**31, ())))
        rois, targets = [], []
        for proposals, truth in zip(self.head.boxes(output, self.training_proposals), boxes, strict=True):
            target = sample_rois(
                proposals.array(),
                truth.array(),
                generator,
                proposal_classes=self._numbers(proposals),
                object_classes=self._numbers(truth),
                sampling=self.sampling,
            )
            targets.append(target)
            rois.append(self._table(proposals, output)[target.rows])
        found = self.roi_head(membranes, rois)
        return {**losses, **roi_losses(found, torch.cat(rois), targets, self.roi_loss_weights)}

    def _judge(self, scores: Tensor, deltas: Tensor, proposals: Boxes) -> Boxes:
        deltas = deltas.double().cpu().clone()
        deltas[:, 3:6] = deltas[:, 3:6].clamp(max=LARGEST_RATIO)
        table = decode_rois(deltas, torch.from_numpy(proposals.array()))
        table[:, 6] = wrap_angle(table[:, 6])
        sure = scores.double().cpu().numpy()
        if self.both_scores:
            sure = np.sqrt(sure * np.asarray(proposals.scores))
        # NaN is kept here, so that the check of the boxes tells of it.
        rows = np.flatnonzero(~(sure < self.choice.score))
        return best_boxes(
            table.numpy()[rows], sure[rows], self._numbers(proposals)[rows], self.class_names, self.choice
        )

    def _table(self, boxes: Boxes, output: AnchorOutput) -> Tensor:
        return torch.from_numpy(boxes.array()).to(output.scores.device)

    def _numbers(self, boxes: Boxes) -> np.ndarray:
        return np.array([self.class_names.index(name) for name in boxes.names], dtype=np.int64)
