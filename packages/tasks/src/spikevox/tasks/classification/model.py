"""Classifier: encoder, linear head on the membrane, mean of the logits over a sample's sites."""

from typing import Any, ClassVar, Literal

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn import functional

from spikevox.encoding.report import VoxelReport
from spikevox.layers import GlobalMeanPool, Linear, SparseTensor
from spikevox.layers.all_reduce import all_reduce_sum
from spikevox.tasks.build import build
from spikevox.tasks.classification.metric import ClassificationMetric
from spikevox.tasks.direct_coding import present
from spikevox.tasks.errors import ConfigError

IGNORE_LABEL = -1


class Classifier(BaseModel):
    """E-3DSNN's classifier.

    Args:
        encoder: a module with ``out_channels``, or ``dict(type=Encoder, ...)``.
        num_classes: number of classes.
        label_smoothing: of the cross-entropy, in [0, 1).
        time_steps: T; above 1 the voxel features are presented T times (direct coding) and logits are averaged.
        backend: of the sparse tensors, see :mod:`spikevox.layers.backends`.

    Attributes:
        metric: scores a validation.
        session: module whose functions the command calls.

    Example:
        >>> from spikevox.layers.backbones import Encoder
        >>> network = Classifier(Encoder("T", in_channels=6), num_classes=40)
        >>> sum(p.numel() for p in network.parameters())
        1874216
    """

    metric: ClassVar[type[ClassificationMetric]] = ClassificationMetric
    session: ClassVar[str] = "spikevox.tasks.session"

    def __init__(
        self,
        encoder: nn.Module | dict[str, Any],
        num_classes: int,
        *,
        label_smoothing: float = 0.0,
        time_steps: int = 1,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1 or num_classes < 2 or time_steps < 1:
            raise ConfigError(
                "a classifier needs label_smoothing in [0, 1), num_classes of at least 2 and time_steps of at least 1, got "
                f"{label_smoothing}, {num_classes} and {time_steps}."
            )
        self.encoder = build(encoder)
        self.head = Linear(self.encoder.out_channels, num_classes)
        self.pool = GlobalMeanPool()
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing
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
        """Takes the parts of a VoxelBatch.

        Returns:
            ``"tensor"``: logits (B, classes); ``"loss"``: ``loss`` and ``accuracy`` as scalars; ``"predict"``: a dict a
            sample with ``scores`` (classes,), ``label`` and ``empty``.
        """
        # Batches hold float32; a network in float64 (gradient checks) takes them as such.
        features = features.to(self.head.weight.dtype)
        x = present(features, coordinates, self.time_steps, batch_size=batch_size, backend=self.backend)
        logits = self.logits(x)
        if mode == "tensor":
            return logits
        empty = x.empty_samples
        if mode == "loss":
            return self._loss(logits, labels, empty)
        scores = logits.softmax(dim=1)
        return [
            {"scores": s, "label": None if labels is None else int(labels[i]), "empty": bool(empty[i])}
            for i, s in enumerate(scores)
        ]

    def logits(self, x: SparseTensor) -> Tensor:
        """Logits (B, classes) of a sparse tensor: what ``layers.event.compile(model, call=model.logits)`` compiles."""
        logits = self.pool(self.head(self.encoder(x)))
        return logits.mean(dim=0) if self.time_steps > 1 else logits

    def _loss(self, logits: Tensor, labels: Tensor | None, empty: Tensor) -> dict[str, Tensor]:
        if labels is None:
            raise ConfigError("a loss needs labels; this split has none.")
        # Nothing can be learned from a sample without voxels: the loss leaves it out.
        target = labels.masked_fill(empty, IGNORE_LABEL)
        valid = target != IGNORE_LABEL
        total = functional.cross_entropy(
            logits, target, ignore_index=IGNORE_LABEL, label_smoothing=self.label_smoothing, reduction="sum"
        )
        count = all_reduce_sum(valid.sum().to(logits.dtype))
        # Gradients are averaged over processes; times their number they are those of the mean over the global batch.
        world = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        correct = (logits.argmax(dim=1) == target) & valid
        return {
            "loss": total * world / count.clamp(min=1),
            "accuracy": correct.sum() / valid.sum().clamp(min=1),
        }
