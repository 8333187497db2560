"""Picojoules of counted operations."""

from typing import NamedTuple

from spikevox.layers.energy.counts import LayerCount
from spikevox.layers.energy.forms import Form, work_of
from spikevox.layers.energy.table import EnergyTable
from spikevox.layers.energy.traffic import traffic_of


class Price(NamedTuple):
    """Picojoules of a layer, or of a network.

    Attributes:
        real: products of layers that read real values.
        spiking: products, or spike additions, of layers that read what neurons emit.
        other: biases, shortcuts, pooling, neurons, and normalisations that are not folded.
        memory: traffic but for weights.
        loaded: weights, each fetched at most once a sample: what a machine that reuses them as best it can moves.
        fetched: weights, one for each product or event: what a machine without reuse moves.
    """

    real: float
    spiking: float
    other: float
    memory: float
    loaded: float
    fetched: float

    @property
    def synaptic(self) -> float:
        """Layers with weights alone: what papers state."""
        return self.real + self.spiking

    @property
    def weights_once(self) -> float:
        """Arithmetic and memory, weights fetched once."""
        return self.real + self.spiking + self.other + self.memory + self.loaded

    @property
    def weights_each(self) -> float:
        """Arithmetic and memory, weights fetched for each product or event."""
        return self.real + self.spiking + self.other + self.memory + self.fetched


def price_layer(layer: LayerCount, form: Form, table: EnergyTable) -> Price:
    """Picojoules of a layer in a form.

    Args:
        layer: counts of one sample: what its tensors take tells the memory that they lie in.
        form: how it is run.
        table: constants.
    """
    arithmetic = table.arithmetic[form.precision]
    work, traffic = work_of(layer, form), traffic_of(layer, form, arithmetic)
    synaptic = work.macs * arithmetic.mac + work.acs * arithmetic.add
    made = layer.reads == "spikes"
    return Price(
        0.0 if made else synaptic,
        synaptic if made else 0.0,
        work.additions * arithmetic.add + work.multiplications * arithmetic.multiply,
        sum(table.moving(*moved) for moved in traffic[1:]),
        table.moving(min(traffic.weights), traffic.weights.size),
        table.moving(*traffic.weights),
    )
