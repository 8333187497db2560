"""Spiking neurons: step function first, module below."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.layers.neurons.binary import IF, LIF, PLIF, AdaptiveLIF
    from spikevox.layers.neurons.integer import ILIF, integer_spike
    from spikevox.layers.neurons.neuron import Neuron, detach_states, reset_states
    from spikevox.layers.neurons.parallel import PSN
    from spikevox.layers.neurons.rectified import ReLU
    from spikevox.layers.neurons.registry import NEURONS, build_neuron
    from spikevox.layers.neurons.surrogate import SURROGATES, heaviside

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "binary": ("IF", "LIF", "PLIF", "AdaptiveLIF"),
        "integer": ("ILIF", "integer_spike"),
        "neuron": ("Neuron", "detach_states", "reset_states"),
        "parallel": ("PSN",),
        "rectified": ("ReLU",),
        "registry": ("NEURONS", "build_neuron"),
        "surrogate": ("SURROGATES", "heaviside"),
    },
)
