"""What all detectors share: how a training and a test call them."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from mmengine.model import BaseModel
from torch import Tensor

from spikevox.encoding.report import VoxelReport
from spikevox.layers import SparseTensor
from spikevox.tasks.datasets.frame import Boxes
from spikevox.tasks.detection.metric import DetectionMetric
from spikevox.tasks.errors import ConfigError


class Detector(BaseModel):
    """Base of detectors: a subclass has ``head`` with ``class_names``, and says how it looks, detects and learns.

    Args:
        backend: of the sparse tensors, see :mod:`spikevox.layers.backends`.

    Attributes:
        metric: scores a validation.
        session: module whose functions the command calls.
        class_names: names of the classes.
    """

    metric: ClassVar[type[DetectionMetric]] = DetectionMetric
    session: ClassVar[str] = "spikevox.tasks.detection_session"
    head: Any

    def __init__(self, backend: str | None = None) -> None:
        super().__init__()
        self.backend = backend

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes."""
        names: tuple[str, ...] = self.head.class_names
        return names

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
            ``"tensor"``: what the head says; ``"loss"``: a dict of losses, and numbers to log; ``"predict"``: Boxes with
            scores, one a sample.

        Raises:
            ConfigError: a loss without boxes.
        """
        dtype = next(self.parameters()).dtype
        x = SparseTensor(features.to(dtype), coordinates, batch_size=batch_size, backend=self.backend)
        output, membranes = self.look(x)
        if mode == "tensor":
            return output
        if mode == "predict":
            return self.detect(output, membranes)
        if boxes is None:
            raise ConfigError("a loss of detection needs the boxes of every frame; this split has none.")
        return self.losses(output, membranes, boxes)

    def look(self, x: SparseTensor) -> tuple[Any, Sequence[SparseTensor]]:
        """What the head says, and the membranes of the 3D backbone that a second stage reads."""
        raise NotImplementedError

    def detect(self, output: Any, membranes: Sequence[SparseTensor]) -> list[Boxes]:
        """Boxes with scores of each sample."""
        raise NotImplementedError

    def losses(self, output: Any, membranes: Sequence[SparseTensor], boxes: Sequence[Boxes]) -> dict[str, Tensor]:
        """Losses of a batch, and numbers to log."""
        raise NotImplementedError


def options_of(defaults: Any, values: Mapping[str, float] | None, name: str) -> Any:
    """A named tuple with some of its numbers replaced.

    Raises:
        ConfigError: a number that it does not have; ``name`` is what the tuple is called then.
    """
    unknown = sorted(set(values or ()) - set(defaults._fields))
    if unknown:
        raise ConfigError(f"{name} has {', '.join(defaults._fields)}, not {unknown[0]!r}.")
    return defaults._replace(**(values or {}))
