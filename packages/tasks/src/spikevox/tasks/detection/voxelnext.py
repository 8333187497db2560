"""VoxelNeXt with spikes: a sparse backbone and centres found on its sites, no dense map in between (CVPR 2023)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from mmengine.model import BaseModel
from torch import Tensor, nn

from spikevox.encoding.report import VoxelReport
from spikevox.layers import SparseTensor
from spikevox.tasks.build import build
from spikevox.tasks.datasets.frame import Boxes
from spikevox.tasks.detection.centre_head import CENTRE_CHOICE
from spikevox.tasks.detection.centre_loss import CentreOutput, CentreWeights, centre_losses
from spikevox.tasks.detection.metric import DetectionMetric
from spikevox.tasks.detection.single_stage import options_of
from spikevox.tasks.errors import ConfigError


class VoxelNeXt(BaseModel):
    """E-3DSNN's nuScenes detector.

    Args:
        backbone: a module with ``out_channels`` that gives a membrane on one plane, or ``dict(type=VoxelNeXtBackbone, ...)``.
        head: or ``dict(type=CentreHead, ...)``; its ``in_channels`` need not be told.
        loss_weights: of ``heat``, ``box`` and ``velocity``, see :class:`~spikevox.tasks.detection.CentreWeights`.
        choice: ``score``, ``overlap``, ``candidates`` and ``most`` of what is detected, see
            :meth:`~spikevox.tasks.detection.CentreHead.boxes`.
        backend: of the sparse tensors, see :mod:`spikevox.layers.backends`.

    Attributes:
        metric: scores a validation.
        session: module whose functions the command calls.
        class_names: names of the classes.

    Raises:
        ConfigError: parts whose channels do not fit, or an unknown weight or choice.

    Example:
        >>> from spikevox.layers.backbones import VoxelNeXtBackbone
        >>> from spikevox.tasks.detection import NUSCENES_GROUPS, CentreHead
        >>> head = CentreHead(128, NUSCENES_GROUPS, lower=(-54, -54), cell=(0.6, 0.6))
        >>> detector = VoxelNeXt(VoxelNeXtBackbone(5, grid=(1440, 1440, 41)), head)
        >>> sum(p.numel() for p in detector.parameters())
        7981398
    """

    metric: ClassVar[type[DetectionMetric]] = DetectionMetric
    session: ClassVar[str] = "spikevox.tasks.detection_session"

    def __init__(
        self,
        backbone: nn.Module | dict[str, Any],
        head: nn.Module | dict[str, Any],
        *,
        loss_weights: Mapping[str, float] | None = None,
        choice: Mapping[str, float] | None = None,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        self.backbone = build(backbone)
        self.head = build(head, in_channels=self.backbone.out_channels)
        if self.head.in_channels != self.backbone.out_channels:
            raise ConfigError(
                f"the head reads {self.backbone.out_channels} channels, got in_channels of {self.head.in_channels}."
            )
        self.loss_weights = options_of(CentreWeights(), loss_weights, "loss_weights")
        self.choice = options_of(CENTRE_CHOICE, choice, "choice")
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
            ``"tensor"``: what the head says at the sites; ``"loss"``: ``heat_loss`` and ``box_loss``, and ``objects``, how many
            a sample there are to find; ``"predict"``: Boxes with scores, one a sample.
        """
        dtype = next(self.parameters()).dtype
        x = SparseTensor(features.to(dtype), coordinates, batch_size=batch_size, backend=self.backend)
        output: CentreOutput = self.head(self.backbone(x))
        if mode == "tensor":
            return output
        if mode == "predict":
            return self.head.boxes(output, self.choice)
        if boxes is None:
            raise ConfigError("a loss of detection needs the boxes of every frame; this split has none.")
        targets = self.head.targets(output, boxes)
        objects = output.groups[0].heat.new_tensor(sum(len(target.rows) for target in targets) / output.batch_size)
        return {**centre_losses(output, targets, self.loss_weights), "objects": objects}
