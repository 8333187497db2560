"""How the compiled library fires each neuron that it knows."""

from typing import NamedTuple

from torch import nn

from spikevox.layers.errors import GraphError
from spikevox.layers.neurons.binary import LIF
from spikevox.layers.neurons.integer import ILIF
from spikevox.layers.neurons.neuron import Neuron
from spikevox.layers.neurons.rectified import ReLU


class SpikeRule(NamedTuple):
    """How a membrane becomes spikes.

    Attributes:
        kind: number that the library knows the rule by: 0 integer spikes, 1 a step, 2 rectified.
        parameter: levels, or threshold.
    """

    kind: int
    parameter: float


def rule_of(name: str, module: nn.Module) -> SpikeRule:
    """The rule of a neuron that runs for one time step from rest.

    Raises:
        GraphError: a neuron that keeps state, or runs over several steps, or that the library does not know.
    """
    if isinstance(module, Neuron) and (module.memory is not None or module.time_steps is not None):
        raise GraphError(f"{name}: the event engine runs one time step from rest; this neuron keeps time or state.")
    if isinstance(module, ILIF):
        return SpikeRule(0, float(module.levels))
    # From rest, a neuron that leaks has nothing to leak, and an adaptive threshold is where it starts.
    if isinstance(module, LIF):
        return SpikeRule(1, float(module.threshold))
    if isinstance(module, ReLU | nn.ReLU):
        return SpikeRule(2, 0.0)
    raise GraphError(f"{name}: the event engine does not know this neuron.")
