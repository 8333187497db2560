"""Segmenter: a backbone that keeps the sites, and a linear head on its membrane."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn import functional

from spikevox.encoding.labels import IGNORE_LABEL
from spikevox.encoding.report import VoxelReport
from spikevox.layers import Linear, SparseTensor
from spikevox.layers.all_reduce import all_reduce_sum
from spikevox.tasks.build import build
from spikevox.tasks.direct_coding import present
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.segmentation.losses import lovasz_softmax
from spikevox.tasks.segmentation.metric import SegmentationMetric


class Segmenter(BaseModel):
    """E-3DSNN's segmentation network: a class for every voxel.

    Args:
        backbone: a module with ``out_channels`` that keeps the sites, or ``dict(type=UNet, ...)``.
        num_classes: number of classes.
        class_weights: (classes,) weight of each class in the cross-entropy, see
            :func:`~spikevox.tasks.segmentation.class_weights`; equal ones by default.
        lovasz: weight of the Lovasz-softmax loss, which joins the cross-entropy; it is taken over the voxels of a
            process.
        time_steps: T; above 1 the voxel features are presented T times (direct coding) and logits are averaged.
        backend: of the sparse tensors, see :mod:`spikevox.layers.backends`.

    Attributes:
        metric: scores a validation.
        session: module whose functions the command calls.

    Raises:
        ConfigError: options out of their range, or weights that are not one a class.

    Example:
        >>> from spikevox.layers.backbones import UNet
        >>> [sum(p.numel() for p in Segmenter(UNet(4, size=size), num_classes=19).parameters()) for size in ("base", "small")]
        [20049683, 1360115]
    """

    metric: ClassVar[type[SegmentationMetric]] = SegmentationMetric
    session: ClassVar[str] = "spikevox.tasks.segmentation_session"

    def __init__(
        self,
        backbone: nn.Module | dict[str, Any],
        num_classes: int,
        *,
        class_weights: Sequence[float] | None = None,
        lovasz: float = 0.0,
        time_steps: int = 1,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        if num_classes < 2 or time_steps < 1 or lovasz < 0:
            raise ConfigError(
                "a segmenter needs num_classes of at least 2, time_steps of at least 1 and lovasz from 0 on, got "
                f"{num_classes}, {time_steps} and {lovasz}."
            )
        weights = torch.ones(num_classes) if class_weights is None else torch.tensor([float(w) for w in class_weights])
        if len(weights) != num_classes or not bool((weights > 0).all()):
            raise ConfigError(f"class_weights must be {num_classes} positive numbers, got {class_weights}.")
        self.backbone = build(backbone)
        self.head = Linear(self.backbone.out_channels, num_classes)
        # Of the training, not of the network: weights files do not hold it.
        self.register_buffer("class_weights", weights, persistent=False)
        self.num_classes = num_classes
        self.lovasz = lovasz
        self.time_steps = time_steps
        self.backend = backend

    def forward(
        self,
        coordinates: Tensor,
        features: Tensor,
        labels: Tensor | None = None,
        batch_size: int | None = None,
        report: VoxelReport | None = None,
        *,
        mode: Literal["tensor", "loss", "predict"] = "tensor",
    ) -> Any:
        """Takes the parts of a VoxelBatch; ``labels`` are (N,), one a voxel, -1 for none.

        Returns:
            ``"tensor"``: logits (N, classes) in the order of the coordinates; ``"loss"``: ``loss``, ``accuracy`` and,
            where it has a weight, ``lovasz_loss`` as scalars; ``"predict"``: a dict a sample with ``scores``
            (voxels, classes), each row of which sums to 1.
        """
        # Batches hold float32; a network in float64 (gradient checks) takes them as such.
        features = features.to(self.head.weight.dtype)
        x = present(features, coordinates, self.time_steps, batch_size=batch_size, backend=self.backend)
        logits = self.logits(x)
        if mode == "tensor":
            return logits
        if mode == "loss":
            return self._loss(logits, labels)
        samples = torch.bincount(coordinates[:, 0].long(), minlength=x.batch_size).tolist()
        return [{"scores": scores} for scores in logits.softmax(dim=1).split(samples)]

    def val_step(self, data: Any) -> Any:
        """Predicts for the voxels of a LabelledBatch; its metric takes them to the points."""
        return self._run_forward(data.voxels, mode="predict")

    def logits(self, x: SparseTensor) -> Tensor:
        """Logits (N, classes) of a sparse tensor, in the order in which its rows came in."""
        # Of x, as a tensor that went down and up again no longer knows in what order its rows came in.
        logits = self.head(self.backbone(x)).features[..., x.input_rows, :]
        return logits.mean(dim=0) if self.time_steps > 1 else logits

    def _loss(self, logits: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        if labels is None or len(labels) != len(logits):
            raise ConfigError("a loss of segmentation needs a label for every voxel; this split has none.")
        valid = labels != IGNORE_LABEL
        logits, labels = logits[valid], labels[valid]
        weights = self.class_weights.to(logits.dtype)
        total = functional.cross_entropy(logits, labels, weights, reduction="sum")
        mass = all_reduce_sum(weights[labels].sum())
        # Gradients are averaged over processes; times their number they are those of the mean over the global batch.
        world = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        tiny = torch.finfo(mass.dtype).tiny
        losses = {
            "loss": total * world / mass.clamp(min=tiny),
            "accuracy": (logits.argmax(dim=1) == labels).sum() / valid.sum().clamp(min=1),
        }
        if self.lovasz:
            losses["lovasz_loss"] = self.lovasz * lovasz_softmax(logits.softmax(dim=1), labels)
        return losses
