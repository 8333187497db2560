"""The same network with ReLU in place of its neurons."""

from copy import deepcopy

from torch import nn

from spikevox.layers.neurons.neuron import Neuron
from spikevox.layers.neurons.rectified import ReLU


def with_relu(network: nn.Module) -> nn.Module:
    """A copy whose neurons are ReLU and whose weights are the same: it was never trained so.

    How often its activations are 0 is therefore a guess; a control that was trained with ReLU tells it.
    """
    result = ReLU() if isinstance(network, Neuron) else deepcopy(network)
    for module in list(result.modules()):
        for name, child in module.named_children():
            if isinstance(child, Neuron):
                setattr(module, name, ReLU(time_steps=child.time_steps))
    return result
