"""The control: the same network without spikes."""

import torch
from torch import Tensor

from spikevox.layers.neurons.neuron import Neuron
from spikevox.layers.neurons.state import State


class ReLU(Neuron):
    """``max(0, x)`` in place of a neuron, to tell what spikes cost; it emits real values, not spikes."""

    def run(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """All time steps of (T, ...), each by itself."""
        return torch.relu(x), ()
