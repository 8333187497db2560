"""Neurons by name, as configurations write them."""

from collections.abc import Callable
from typing import Any

from torch import nn

from spikevox.layers.errors import LayerError
from spikevox.layers.neurons.binary import IF, LIF, PLIF, AdaptiveLIF
from spikevox.layers.neurons.integer import ILIF
from spikevox.layers.neurons.parallel import PSN
from spikevox.layers.neurons.rectified import ReLU

NEURONS: dict[str, Callable[..., nn.Module]] = {
    "ilif": ILIF,
    "if": IF,
    "lif": LIF,
    "plif": PLIF,
    "adaptive_lif": AdaptiveLIF,
    "psn": PSN,
    "relu": ReLU,
}


def build_neuron(neuron: str | Callable[..., nn.Module] = "ilif", **options: Any) -> nn.Module:
    """A fresh neuron layer.

    Args:
        neuron: a name of ``NEURONS``, or anything that makes a module when called.
        **options: passed on.

    Raises:
        LayerError: an unknown name, or options that the neuron does not have.
    """
    if isinstance(neuron, str):
        if neuron not in NEURONS:
            raise LayerError(f"unknown neuron {neuron!r}; there are {', '.join(NEURONS)}.")
        neuron = NEURONS[neuron]
    try:
        return neuron(**options)
    except TypeError as error:
        raise LayerError(f"{getattr(neuron, '__name__', neuron)} cannot be built with {options}: {error}.") from error
