"""Integer leaky integrate-and-fire neuron, I-LIF (E-3DSNN, arXiv 2412.07360)."""

from typing import Any

import torch
from torch import Tensor

from spikevox.layers.errors import LayerError
from spikevox.layers.neurons.neuron import Neuron
from spikevox.layers.neurons.state import State
from spikevox.layers.neurons.surrogate import check_decay


class _IntegerSpike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, membrane: Tensor, levels: int) -> Tensor:
        ctx.save_for_backward(membrane)
        ctx.levels = levels
        # Halves round up: 0.5 -> 1 and 2.5 -> 3. torch.round rounds halves to even and is wrong here.
        return membrane.clamp(0, levels).add_(0.5).floor_()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (membrane,) = ctx.saved_tensors
        # The gradient of a clamp, 1 strictly inside and 0 from the borders on, in one pass.
        return torch.ops.aten.hardtanh_backward(grad, membrane, 0, ctx.levels), None


def integer_spike(membrane: Tensor, levels: int = 4) -> Tensor:
    """Spikes that a membrane emits over ``levels`` virtual time steps: ``floor(clamp(u, 0, D) + 0.5)``.

    Args:
        membrane: any shape, floating; in units of the threshold.
        levels: D, the largest number of spikes, at least 1.

    Returns:
        Same shape and dtype, whole numbers in ``[0, levels]``. The gradient is 1 where ``0 < u < levels``, else 0.

    Example:
        >>> integer_spike(torch.tensor([-1.0, 0.5, 2.5, 9.0]))
        tensor([0., 1., 3., 4.])
    """
    return _IntegerSpike.apply(membrane, levels)


class ILIF(Neuron):
    """Integer leaky integrate-and-fire neuron.

    ``U[1] = x[1];  S[t] = floor(clamp(U[t], 0, D) + 0.5);  U[t+1] = decay (U[t] - S[t]) + x[t+1]``

    Trained on integers, it runs on binary spikes over D virtual time steps with the same result. Spikes are detached
    in the reset.

    Args:
        levels: D, 1 to 255.
        decay: share of the membrane that is left after a step, in [0, 1]; without effect for one step.
        **options: see :class:`Neuron`.

    Raises:
        LayerError: a parameter out of its range.

    Example:
        >>> ILIF(levels=4)(torch.tensor([0.2, 1.4, 7.0]))
        tensor([0., 1., 4.])
    """

    def __init__(self, levels: int = 4, *, decay: float = 0.25, **options: Any) -> None:
        super().__init__(**options)
        if not (isinstance(levels, int) and 1 <= levels <= 255):
            raise LayerError(f"levels must be a whole number from 1 to 255, got {levels!r}.")
        check_decay("decay", decay)
        self.levels = levels
        self.decay = decay

    def charge(self, x: Tensor, state: State | None) -> Tensor:
        """Membrane from which a step fires."""
        return x if state is None else state[0] + x

    def step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Fires after charging; the state is what the next step starts from, ``decay (U - S)``."""
        membrane = self.charge(x, state)
        spikes = integer_spike(membrane, self.levels)
        return spikes, (self.decay * (membrane - spikes.detach()),)

    def run(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """One step needs no membrane afterwards unless the state is kept."""
        if len(x) == 1 and self.memory is None:
            return integer_spike(x, self.levels), ()
        return super().run(x, state)

    def extra_repr(self) -> str:
        """Levels and decay."""
        return f"levels={self.levels}, decay={self.decay}"
