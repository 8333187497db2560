"""Integrate-and-fire neurons with binary spikes: IF, LIF, PLIF and adaptive LIF.

All charge, then fire where the membrane reaches the threshold, then reset. Spikes are detached in the reset.
"""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spikevox.layers.errors import LayerError
from spikevox.layers.neurons.neuron import Neuron
from spikevox.layers.neurons.state import State
from spikevox.layers.neurons.surrogate import check_decay, check_positive, check_surrogate, heaviside

Reset = Literal["soft", "hard"]


def reset_membrane(membrane: Tensor, spikes: Tensor, threshold: float | Tensor, reset: Reset) -> Tensor:
    """Membrane after firing: less the threshold (``"soft"``), or 0 (``"hard"``), where there is a spike."""
    spikes = spikes.detach()
    return membrane - threshold * spikes if reset == "soft" else membrane * (1 - spikes)


class LIF(Neuron):
    """Leaky integrate-and-fire neuron.

    ``U[t] = decay V[t-1] + x[t];  S[t] = U[t] >= threshold;  V[t] = U[t] - threshold S[t]`` (soft reset)

    Args:
        decay: share of the membrane that is left after a step, in [0, 1].
        threshold: positive.
        reset: ``"soft"`` subtracts the threshold, ``"hard"`` sets the membrane to 0.
        surrogate: see :func:`heaviside`.
        sharpness: of the surrogate.
        **options: see :class:`Neuron`.

    Raises:
        LayerError: a parameter out of its range.

    Example:
        >>> LIF(decay=0.5, time_steps=3)(torch.tensor([0.6, 0.8, 0.2]))
        tensor([0., 1., 0.])
    """

    def __init__(
        self,
        *,
        decay: float = 0.5,
        threshold: float = 1.0,
        reset: Reset = "soft",
        surrogate: str = "rectangular",
        sharpness: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_decay("decay", decay)
        check_positive("threshold", threshold)
        check_surrogate(surrogate, sharpness)
        if reset not in ("soft", "hard"):
            raise LayerError(f"reset must be 'soft' or 'hard', got {reset!r}.")
        self.decay: float | Tensor = decay
        self.threshold = threshold
        self.reset: Reset = reset
        self.surrogate = surrogate
        self.sharpness = sharpness

    def leak(self) -> float | Tensor:
        """Share of the membrane that is left after a step."""
        return self.decay

    def charge(self, x: Tensor, state: State | None) -> Tensor:
        """Membrane from which a step fires."""
        return x if state is None else self.leak() * state[0] + x

    def step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Charges, fires, resets; the state is the membrane after the reset."""
        membrane = self.charge(x, state)
        spikes = heaviside(membrane - self.threshold, self.surrogate, self.sharpness)
        return spikes, (reset_membrane(membrane, spikes, self.threshold, self.reset),)

    def extra_repr(self) -> str:
        """Parameters, as torch prints its own layers."""
        return f"decay={self.decay}, threshold={self.threshold}, reset={self.reset!r}"


class IF(LIF):
    """Integrate-and-fire neuron: a LIF neuron without leak.

    Args:
        **options: see :class:`LIF`; ``decay`` is 1.
    """

    def __init__(self, **options: Any) -> None:
        if "decay" in options:
            raise LayerError("an IF neuron has no decay; use LIF(decay=...).")
        super().__init__(decay=1.0, **options)


class PLIF(LIF):
    """LIF neuron whose decay is learned, ``decay = sigmoid(w)``, one a layer (Fang et al., ICCV 2021).

    Args:
        decay: the decay to start from, in (0, 1).
        **options: see :class:`LIF`.
    """

    def __init__(self, *, decay: float = 0.5, **options: Any) -> None:
        super().__init__(decay=decay, **options)
        if not 0 < decay < 1:
            raise LayerError(f"decay must lie in (0, 1) to be learned, got {decay}.")
        del self.decay
        self.decay_logit = nn.Parameter(torch.tensor(math.log(decay / (1 - decay))))

    def leak(self) -> Tensor:
        """The learned decay."""
        return torch.sigmoid(self.decay_logit)

    def extra_repr(self) -> str:
        """Without the value that is learned: the text tells what the weights do not."""
        return f"decay=learned, threshold={self.threshold}, reset={self.reset!r}"


class AdaptiveLIF(LIF):
    """LIF neuron whose threshold rises with its own spikes (Bellec et al., NeurIPS 2018).

    ``A[t] = threshold + adaptation a[t-1]`` is the threshold, and ``a[t] = recovery a[t-1] + S[t]``.

    Args:
        adaptation: how far one spike raises the threshold, at least 0.
        recovery: share of the rise that is left after a step, in [0, 1].
        **options: see :class:`LIF`.
    """

    def __init__(self, *, adaptation: float = 0.1, recovery: float = 0.9, **options: Any) -> None:
        super().__init__(**options)
        check_decay("recovery", recovery)
        if not 0 <= adaptation < math.inf:
            raise LayerError(f"adaptation must be at least 0 and finite, got {adaptation}.")
        self.adaptation = adaptation
        self.recovery = recovery

    def step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The state is the membrane and the rise of the threshold, in spikes."""
        membrane, rise = self.charge(x, state), torch.zeros_like(x) if state is None else state[1]
        threshold = self.threshold + self.adaptation * rise
        spikes = heaviside(membrane - threshold, self.surrogate, self.sharpness)
        after = reset_membrane(membrane, spikes, threshold, self.reset)
        return spikes, (after, self.recovery * rise + spikes)

    def extra_repr(self) -> str:
        """Those of a LIF neuron, and how the threshold moves."""
        return f"{super().extra_repr()}, adaptation={self.adaptation}, recovery={self.recovery}"
