"""What all backbones share: the neurons and normalisations that they are made of."""

from collections.abc import Callable
from typing import Any

from torch import nn

from spikevox.layers.blocks import Parts


class Backbone(nn.Module):
    """Base of networks without heads.

    Args:
        neuron: a name of ``NEURONS``, or anything that makes a neuron when called; ``"relu"`` is the control.
        neuron_options: passed to the neuron.
        batch_norm_momentum: share of a new batch in the running statistics; short trainings want 0.05 to 0.1.
        synchronise: normalise over all processes of a distributed run.

    Attributes:
        parts: makes neurons and normalisations like those of the network, for a head of the same kind.
    """

    def __init__(
        self,
        *,
        neuron: str | Callable[..., nn.Module] = "ilif",
        neuron_options: dict[str, Any] | None = None,
        batch_norm_momentum: float = 0.01,
        synchronise: bool = False,
    ) -> None:
        super().__init__()
        norm = {"momentum": batch_norm_momentum, "synchronise": synchronise}
        self.parts = Parts(neuron=neuron, neuron_options=dict(neuron_options or {}), norm_options=norm)
