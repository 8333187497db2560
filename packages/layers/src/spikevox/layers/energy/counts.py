"""What the layers of a network did with an input, in whole numbers."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from spikevox.layers.errors import EnergyError

Reads = Literal["spikes", "reals", ""]
# What the module of a layer is, not how much it did: equal in every input.
_FACTS = ("name", "kind", "reads", "in_channels", "out_channels", "groups", "weights", "bias", "depth", "folded")


@dataclass(frozen=True)
class LayerCount:
    """One layer, or a sum outside of layers.

    A layer with weights (``kind`` ``"convolution"`` or ``"linear"``) has pairs; ``values``, ``events``, ``spikes`` and
    ``levels`` tell what it read. Those of a neuron tell what it emitted.

    Attributes:
        name: path of the module; of a sum between layers, of the module whose forward pass it stands in.
        kind: ``"convolution"``, ``"linear"``, ``"normalisation"``, ``"neuron"``, ``"rectifier"``, ``"pool"``, ``"sum"`` or a
            name that a counter of somebody else's chose.
        reads: of a layer with weights: ``"spikes"`` or ``"reals"``; else empty.
        in_channels: C of the input, 0 where there are no channels.
        out_channels: C of the output.
        groups: of a convolution.
        weights: parameters that the layer holds in its folded form, biases included.
        bias: whether one is added to the sums.
        depth: D, the largest spike; 0 for real values.
        folded: a normalisation that goes into the weights of the layer before it and costs nothing.
        in_rows: sites, or pixels, of the input, each time step for itself.
        out_rows: of the output.
        pairs: matches (input row, output row, kernel offset), each time step for itself.
        map_entries: pairs that are looked up in a kernel map: none where a row reads itself alone, or a dense grid needs no map.
        values: numbers that were read, or emitted.
        events: those of them that are not 0.
        spikes: their sum where they are spikes, a level s counted s times; 0 for real values.
        levels: how many of the values are 0, 1, ... D; empty for real values.
        macs: multiplications with addition, those with 0 included: ``pairs * in_channels / groups * out_channels``.
        event_macs: those whose input is not 0.
        acs: additions of a weight for a spike: spikes x fan-out x ``out_channels / groups``, level s counted s times; 0 where the
            layer reads reals.
        additions: further additions or comparisons: biases, shortcuts, pooling.
        multiplications: further multiplications.
        membrane_updates: membranes that a neuron charged and compared with its threshold.
        state_updates: those of them that a neuron kept for a next time step.
    """

    name: str
    kind: str
    reads: Reads = ""
    in_channels: int = 0
    out_channels: int = 0
    groups: int = 1
    weights: int = 0
    bias: bool = False
    depth: int = 0
    folded: bool = False
    in_rows: int = 0
    out_rows: int = 0
    pairs: int = 0
    map_entries: int = 0
    values: int = 0
    events: int = 0
    spikes: int = 0
    levels: tuple[int, ...] = ()
    macs: int = 0
    event_macs: int = 0
    acs: int = 0
    additions: int = 0
    multiplications: int = 0
    membrane_updates: int = 0
    state_updates: int = 0

    @property
    def fan_out(self) -> float:
        """Pairs an input row: output sites that a spike reaches, on average."""
        return self.pairs / max(1, self.in_rows)

    @property
    def firing_rate(self) -> float:
        """Spikes a value; NaN where the values are no spikes."""
        return self.spikes / max(1, self.values) if self.depth else float("nan")

    @property
    def weighted_rate(self) -> float:
        """Spikes a multiplication of the dense form: the firing rate, each value weighted by its fan-out."""
        return self.acs / max(1, self.macs) if self.reads == "spikes" else float("nan")

    def __add__(self, other: "LayerCount") -> "LayerCount":
        changed = [name for name in _FACTS if getattr(self, name) != getattr(other, name)]
        # What happens to be whole in one input and not in the next is real; a network that saw an empty input knows no better.
        if changed:
            raise EnergyError(
                f"counts of different layers cannot be added: {self.name} and {other.name} differ in {', '.join(changed)}."
            )
        totals = {
            field.name: getattr(self, field.name) + getattr(other, field.name)
            for field in fields(self)
            if field.name not in (*_FACTS, "levels")
        }
        levels = tuple(a + b for a, b in zip(self.levels, other.levels, strict=True))
        return replace(self, levels=levels, **totals)


@dataclass(frozen=True)
class OperationCounts:
    """What a network did with an input, or with several together.

    Attributes:
        layers: in the order in which they ran.
        samples: number of samples in it.
        apart: arithmetic that reads no features (coordinates of a grid of points, say): module, operation and numbers made.
        uncounted: what ran inside :func:`~spikevox.layers.energy.uncounted`, by its name.
    """

    layers: tuple[LayerCount, ...]
    samples: int = 1
    apart: tuple[tuple[str, str, int], ...] = ()
    uncounted: tuple[str, ...] = ()

    def total(self, name: str) -> int:
        """Sum of an attribute over all layers."""
        return sum(getattr(layer, name) for layer in self.layers)

    def weighted(self, reads: Reads | None = None) -> Iterator[LayerCount]:
        """Layers with weights, or those of them that read spikes, or reals."""
        return (layer for layer in self.layers if layer.reads and (reads is None or layer.reads == reads))

    def __add__(self, other: "OperationCounts") -> "OperationCounts":
        if len(self.layers) != len(other.layers):
            raise EnergyError(f"counts of {len(self.layers)} and {len(other.layers)} layers cannot be added.")
        layers = tuple(a + b for a, b in zip(self.layers, other.layers, strict=True))
        apart: dict[tuple[str, str], int] = {}
        for module, operation, numbers in (*self.apart, *other.apart):
            apart[module, operation] = apart.get((module, operation), 0) + numbers
        return OperationCounts(
            layers,
            self.samples + other.samples,
            tuple((*key, numbers) for key, numbers in apart.items()),
            tuple(dict.fromkeys((*self.uncounted, *other.uncounted))),
        )

    def figures(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)
