"""VoxelNeXt with spikes: a sparse backbone and centres found on its sites, no dense map in between (CVPR 2023)."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from spikevox.layers import SparseTensor
from spikevox.tasks.build import build
from spikevox.tasks.datasets.frame import Boxes
from spikevox.tasks.detection.centre_head import CENTRE_CHOICE
from spikevox.tasks.detection.centre_loss import CentreOutput, CentreWeights, centre_losses
from spikevox.tasks.detection.detector import Detector, options_of
from spikevox.tasks.errors import ConfigError


class VoxelNeXt(Detector):
    """E-3DSNN's nuScenes detector.

    Args:
        backbone: a module with ``out_channels`` that gives a membrane on one plane, or ``dict(type=VoxelNeXtBackbone, ...)``.
        head: or ``dict(type=CentreHead, ...)``; its ``in_channels`` need not be told.
        loss_weights: of ``heat``, ``box`` and ``velocity``, see :class:`~spikevox.tasks.detection.CentreWeights`.
        choice: ``score``, ``overlap``, ``candidates`` and ``most`` of what is detected, see
            :meth:`~spikevox.tasks.detection.CentreHead.boxes`.
        backend: of the sparse tensors, see :mod:`spikevox.layers.backends`.

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

    def __init__(
        self,
        backbone: nn.Module | dict[str, Any],
        head: nn.Module | dict[str, Any],
        *,
        loss_weights: Mapping[str, float] | None = None,
        choice: Mapping[str, float] | None = None,
        backend: str | None = None,
    ) -> None:
        super().__init__(backend)
        self.backbone = build(backbone)
        self.head = build(head, in_channels=self.backbone.out_channels)
        if self.head.in_channels != self.backbone.out_channels:
            raise ConfigError(
                f"the head reads {self.backbone.out_channels} channels, got in_channels of {self.head.in_channels}."
            )
        self.loss_weights = options_of(CentreWeights(), loss_weights, "loss_weights")
        self.choice = options_of(CENTRE_CHOICE, choice, "choice")

    def look(self, x: SparseTensor) -> tuple[CentreOutput, Sequence[SparseTensor]]:
        """What is said at the sites; there is no second stage."""
        output: CentreOutput = self.head(self.backbone(x))
        return output, ()

    def detect(self, output: CentreOutput, membranes: Sequence[SparseTensor]) -> list[Boxes]:
        """Boxes with scores of each sample."""
        return self.head.boxes(output, self.choice)

    def losses(
        self, output: CentreOutput, membranes: Sequence[SparseTensor], boxes: Sequence[Boxes]
    ) -> dict[str, Tensor]:
        """``heat_loss`` and ``box_loss``; ``objects``: how many a sample there are to find."""
        targets = self.head.targets(output, boxes)
        objects = output.groups[0].heat.new_tensor(sum(len(target.rows) for target in targets) / output.batch_size)
        return {**centre_losses(output, targets, self.loss_weights), "objects": objects}
