"""Parallel spiking neuron, PSN (Fang et al., NeurIPS 2023): all time steps at once, no reset."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from spikevox.layers.errors import LayerError
from spikevox.layers.neurons.neuron import Neuron
from spikevox.layers.neurons.state import State
from spikevox.layers.neurons.surrogate import check_decay, check_surrogate, heaviside


def charge_without_reset(time_steps: int, decay: float) -> Tensor:
    """(T, T) float32: how much of the input at s is in the membrane at t, ``decay^(t - s)`` for s <= t, else 0."""
    steps = torch.arange(time_steps)
    age = steps[:, None] - steps
    return torch.where(age >= 0, float(decay) ** age.clamp(min=0), 0.0)


class PSN(Neuron):
    """Parallel spiking neuron: ``H = W X + b`` along time, ``S = H >= 0``.

    Args:
        time_steps: T; W is (T, T), b is (T,) and starts at -1, a threshold of 1.
        decay: W starts as the charge of a LIF neuron that is never reset, ``W[t, s] = decay^(t - s)`` for s <= t;
            ``None`` draws it as the paper does (Kaiming, uniform in +-1 / sqrt(T)), where few neurons fire at first.
        surrogate: see :func:`heaviside`.
        sharpness: of the surrogate.

    Raises:
        LayerError: a parameter out of its range, or ``stateful``, which a parallel neuron cannot be.
    """

    def __init__(
        self,
        time_steps: int = 4,
        *,
        decay: float | None = 0.5,
        surrogate: str = "rectangular",
        sharpness: float = 1.0,
        **options: Any,
    ) -> None:
        if options.get("stateful"):
            raise LayerError("PSN sees all time steps at once and keeps no state between calls.")
        super().__init__(time_steps=time_steps, **options)
        check_surrogate(surrogate, sharpness)
        self.surrogate = surrogate
        self.sharpness = sharpness
        if decay is None:
            weight = nn.init.kaiming_uniform_(torch.empty(time_steps, time_steps), a=math.sqrt(5))
        else:
            check_decay("decay", decay)
            weight = charge_without_reset(time_steps, decay)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.full((time_steps,), -1.0))

    def run(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """All time steps of (T, ...)."""
        hidden = torch.tensordot(self.weight, x, dims=1) + self.bias.view(-1, *[1] * (x.ndim - 1))
        return heaviside(hidden, self.surrogate, self.sharpness), ()
