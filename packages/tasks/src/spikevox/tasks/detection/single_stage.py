"""A detector of one stage: sparse 3D backbone, map from above, 2D backbone, anchors."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from mmengine.model import BaseModel
from torch import Tensor, nn

from spikevox.encoding.report import VoxelReport
from spikevox.layers import SparseTensor
from spikevox.layers.backbones import merge_heights
from spikevox.tasks.build import build
from spikevox.tasks.datasets.frame import Boxes
from spikevox.tasks.detection.anchor_head import BoxChoice
from spikevox.tasks.detection.losses import AnchorOutput, LossWeights, anchor_losses
from spikevox.tasks.detection.metric import DetectionMetric
from spikevox.tasks.errors import ConfigError


class SingleStageDetector(BaseModel):
    """E-3DSNN's KITTI detector without its second stage.

    Args:
        backbone: a module with ``out_channels`` and ``out_shape`` that gives ``spikes``, or ``dict(type=Voxel8x, ...)``.
        bev: the 2D backbone, or ``dict(type=BevBackbone, ...)``; its ``in_channels`` need not be told.
        head: or ``dict(type=AnchorHead, ...)``; likewise.
        loss_weights: of ``score``, ``box`` and ``direction``, see :class:`~spikevox.tasks.detection.LossWeights`.
        choice: ``score``, ``overlap``, ``candidates`` and ``most`` of what is detected, see
            :class:`~spikevox.tasks.detection.BoxChoice`.
        backend: of the sparse tensors, see :mod:`spikevox.layers.backends`.

    Attributes:
        metric: scores a validation.
        session: module whose functions the command calls.
        class_names: names of the classes.

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

    metric: ClassVar[type[DetectionMetric]] = DetectionMetric
    session: ClassVar[str] = "spikevox.tasks.detection_session"

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
        super().__init__()
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
        self.backend = backend

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.head.class_names

    def forward(
        self,
        coordinates: Tensor,
        features: Tensor,
        boxes: Sequence[Boxes] | None = None,
        batch_size: int | None = None,
        report: VoxelReport | None = None,
        sources: Sequence[str] | None = None,
        *,
        mode: Literal["tensor", "loss", "predict"] = "tensor",
    ) -> Any:
        """Takes the parts of a :class:`~spikevox.tasks.datasets.DetectionBatch`.

        Returns:
            ``"tensor"``: what the head says at its anchors; ``"loss"``: ``score_loss``, ``box_loss`` and ``direction_loss``,
            and ``positives``, the anchors a sample that stand for objects; ``"predict"``: Boxes with scores, one a sample.
        """
        dtype = self.head.score.weight.dtype
        seen = self.backbone(SparseTensor(features.to(dtype), coordinates, batch_size=batch_size, backend=self.backend))
        output: AnchorOutput = self.head(self.bev(merge_heights(seen.spikes, self.backbone.out_shape)))
        if mode == "tensor":
            return output
        if mode == "predict":
            return self.detect(output, seen.membranes)
        if boxes is None:
            raise ConfigError("a loss of detection needs the boxes of every frame; this split has none.")
        return self.losses(output, seen.membranes, boxes)

    def detect(self, output: AnchorOutput, membranes: Sequence[SparseTensor]) -> list[Boxes]:
        """Boxes with scores of each sample, from what is said at the anchors and the membranes of the 3D backbone's stages."""
        return self.head.boxes(output, self.choice)

    def losses(
        self, output: AnchorOutput, membranes: Sequence[SparseTensor], boxes: Sequence[Boxes]
    ) -> dict[str, Tensor]:
        """Losses of a batch, and ``positives``."""
        targets = self.head.targets(output, boxes)
        positives = sum((target.classes > 0).sum() for target in targets) / len(targets)
        return {**anchor_losses(output, targets, self.loss_weights), "positives": positives}


def options_of(defaults: Any, values: Mapping[str, float] | None, name: str) -> Any:
    """A named tuple with some of its numbers replaced.

    Raises:
        ConfigError: a number that it does not have; ``name`` is what the tuple is called then.
    """
    unknown = sorted(set(values or ()) - set(defaults._fields))
    if unknown:
        raise ConfigError(f"{name} has {', '.join(defaults._fields)}, not {unknown[0]!r}.")
    return defaults._replace(**(values or {}))
