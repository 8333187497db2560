"""A detector of one stage: sparse 3D backbone, map from above, 2D backbone, anchors."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from spikevox.layers import SparseTensor
from spikevox.layers.backbones import merge_heights
from spikevox.tasks.build import build
from spikevox.tasks.datasets.frame import Boxes
from spikevox.tasks.detection.anchor_head import BoxChoice
from spikevox.tasks.detection.detector import Detector, options_of
from spikevox.tasks.detection.losses import AnchorOutput, LossWeights, anchor_losses
from spikevox.tasks.errors import ConfigError


class SingleStageDetector(Detector):
    """E-3DSNN's KITTI detector without its second stage.

    Args:
        backbone: a module with ``out_channels`` and ``out_shape`` that gives ``spikes``, or ``dict(type=Voxel8x, ...)``.
        bev: the 2D backbone, or ``dict(type=BevBackbone, ...)``; its ``in_channels`` need not be told.
        head: or ``dict(type=AnchorHead, ...)``; likewise.
        loss_weights: of ``score``, ``box`` and ``direction``, see :class:`~spikevox.tasks.detection.LossWeights`.
        choice: ``score``, ``overlap``, ``candidates`` and ``most`` of what is detected, see
            :class:`~spikevox.tasks.detection.BoxChoice`.
        backend: of the sparse tensors, see :mod:`spikevox.layers.backends`.

    Raises:
        ConfigError: a backbone without bounds, parts whose channels do not fit, or an unknown weight or choice.

    Example:
        >>> from spikevox.layers.backbones import BevBackbone, Voxel8x
        >>> from spikevox.tasks.detection import KITTI_CAR, AnchorHead
        >>> head = AnchorHead(256, [KITTI_CAR], (0, -40, 70.4, 40))
        >>> detector = SingleStageDetector(Voxel8x(4, grid=(1408, 1600, 41)), BevBackbone(256), head)
        >>> sum(p.numel() for p in detector.parameters())
        2946836
    """

    def __init__(
        self,
        backbone: nn.Module | dict[str, Any],
        bev: nn.Module | dict[str, Any],
        head: nn.Module | dict[str, Any],
        *,
        loss_weights: Mapping[str, float] | None = None,
        choice: Mapping[str, float] | None = None,
        backend: str | None = None,
    ) -> None:
        super().__init__(backend)
        self.backbone = build(backbone)
        if self.backbone.out_shape is None:
            raise ConfigError("a detector needs a backbone with bounds: give it grid=(sites along x, y, z).")
        channels = self.backbone.out_channels * self.backbone.out_shape[2]
        self.bev = build(bev, in_channels=channels)
        self.head = build(head, in_channels=self.bev.out_channels)
        if (self.bev.in_channels, self.head.in_channels) != (channels, self.bev.out_channels):
            raise ConfigError(
                f"the 2D backbone reads {channels} channels and the head {self.bev.out_channels}, got in_channels of "
                f"{self.bev.in_channels} and {self.head.in_channels}."
            )
        self.loss_weights = options_of(LossWeights(), loss_weights, "loss_weights")
        self.choice = options_of(BoxChoice(), choice, "choice")

    def look(self, x: SparseTensor) -> tuple[AnchorOutput, Sequence[SparseTensor]]:
        """What is said at the anchors, and the membranes of the 3D backbone's stages."""
        seen = self.backbone(x)
        output: AnchorOutput = self.head(self.bev(merge_heights(seen.spikes, self.backbone.out_shape)))
        return output, seen.membranes

    def detect(self, output: AnchorOutput, membranes: Sequence[SparseTensor]) -> list[Boxes]:
        """Boxes with scores of each sample."""
        return self.head.boxes(output, self.choice)

    def losses(
        self, output: AnchorOutput, membranes: Sequence[SparseTensor], boxes: Sequence[Boxes]
    ) -> dict[str, Tensor]:
        """``score_loss``, ``box_loss``, ``direction_loss``; ``positives``: anchors a sample that stand for objects."""
        targets = self.head.targets(output, boxes)
        positives = sum((target.classes > 0).sum() for target in targets) / len(targets)
        return {**anchor_losses(output, targets, self.loss_weights), "positives": positives}
