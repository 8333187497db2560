"""Picojoules of counted operations."""

from typing import NamedTuple

from spikevox.layers.energy.counts import LayerCount, OperationCounts
from spikevox.layers.energy.forms import Form, work_of
from spikevox.layers.energy.table import EnergyTable
from spikevox.layers.energy.traffic import traffic_of


class Price(NamedTuple):
    """Picojoules of a layer, or of a network.

    Attributes:
        real: products of layers that read real values.
        spiking: products, or spike additions, of layers that read what neurons emit.
        other: biases, shortcuts, pooling, neurons, and normalisations that are not folded.
        memory: traffic.
    """

    real: float
    spiking: float
    other: float
    memory: float

    @property
    def synaptic(self) -> float:
        """Layers with weights alone: what papers state."""
        return self.real + self.spiking

    @property
    def total(self) -> float:
        """Arithmetic and memory."""
        return self.real + self.spiking + self.other + self.memory

    def plus(self, other: "Price") -> "Price":
        """The sum of both."""
        return Price(*(a + b for a, b in zip(self, other, strict=True)))


def price_layer(layer: LayerCount, form: Form, table: EnergyTable, *, neuron_made: bool | None = None) -> Price:
    """Picojoules of a layer in a form.

    Args:
        layer: counts of one sample: what its tensors take tells the memory that they lie in.
        form: how it is run.
        table: constants.
        neuron_made: whether a neuron or rectifier made what it reads; by default, whether it reads spikes.
    """
    arithmetic = table.arithmetic[form.precision]
    work, traffic = work_of(layer, form), traffic_of(layer, form, arithmetic)
    synaptic = work.macs * arithmetic.mac + work.acs * arithmetic.add
    made = layer.reads == "spikes" if neuron_made is None else neuron_made
    return Price(
        0.0 if made else synaptic,
        synaptic if made else 0.0,
        work.additions * arithmetic.add + work.multiplications * arithmetic.multiply,
        sum(moved.bits * table.per_bit(moved.size) for moved in traffic),
    )


def price(counts: OperationCounts, form: Form, table: EnergyTable) -> Price:
    """Picojoules of the counts of one sample in a form."""
    total = Price(0.0, 0.0, 0.0, 0.0)
    for layer in counts.layers:
        total = total.plus(price_layer(layer, form, table))
    return total
