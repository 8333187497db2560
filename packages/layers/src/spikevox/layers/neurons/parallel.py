"""Parallel spiking neuron, PSN (Fang et al., NeurIPS 2023): all time steps at once, no reset."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from spikevox.layers.errors import LayerError
from spikevox.layers.neurons.neuron import Neuron
from spikevox.layers.neurons.state import State
from spikevox.layers.neurons.surrogate import check_surrogate, heaviside


class PSN(Neuron):
    """Parallel spiking neuron: ``H = W X + b`` along time, ``S = H >= 0``.

    Args:
        time_steps: T; W is (T, T), b is (T,) and starts at -1, a threshold of 1.
        surrogate: see :func:`heaviside`.
        sharpness: of the surrogate.

    Raises:
        LayerError: a parameter out of its range, or ``stateful``, which a parallel neuron cannot be.
    """

    def __init__(
        self, time_steps: int = 4, *, surrogate: str = "rectangular", sharpness: float = 1.0, **options: Any
    ) -> None:
        if options.get("stateful"):
            raise LayerError("PSN sees all time steps at once and keeps no state between calls.")
        super().__init__(time_steps=time_steps, **options)
        check_surrogate(surrogate, sharpness)
        self.surrogate = surrogate
        self.sharpness = sharpness
        self.weight = nn.Parameter(torch.empty(time_steps, time_steps))
        self.bias = nn.Parameter(torch.full((time_steps,), -1.0))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def run(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """All time steps of (T, ...)."""
        hidden = torch.tensordot(self.weight, x, dims=1) + self.bias.view(-1, *[1] * (x.ndim - 1))
        return heaviside(hidden, self.surrogate, self.sharpness), ()
