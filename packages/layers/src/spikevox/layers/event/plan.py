"""From a recorded graph to the steps of the engine: fold, fuse, order, and let tables share memory."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spikevox.layers.backends.geometry import KernelGeometry
from spikevox.layers.conv import SparseConvolution, SparseInverseConv3d
from spikevox.layers.errors import GraphError
from spikevox.layers.event.rules import SpikeRule, rule_of
from spikevox.layers.graph import SAMPLES, Graph, Node
from spikevox.layers.neurons.neuron import Neuron
from spikevox.layers.norm import BatchNorm
from spikevox.layers.pool import (
    AveragePool3d,
    GlobalMaxPool,
    GlobalMeanPool,
    GlobalPool,
    GlobalSumPool,
    LocalPool3d,
    MaxPool3d,
)

NO_MAP = -1
SUM = 0
_POOLS: dict[type[nn.Module], int] = {
    MaxPool3d: 1,
    AveragePool3d: 2,
    GlobalMaxPool: 3,
    GlobalMeanPool: 4,
    GlobalSumPool: 5,
}


class Form(NamedTuple):
    """A table: the result of a node as it is, or fired by a rule; as events or as values.

    Attributes:
        base: node whose result it is.
        rule: ``None`` for the result as it is.
        events: as events, else as values.
    """

    base: int
    rule: SpikeRule | None
    events: bool


class Source(NamedTuple):
    """A table that a layer reads, and its weight (K, C, C_out) float64; pools have none."""

    form: Form
    weight: Tensor | None


class Result(NamedTuple):
    """A form in which a layer stores what it computed, from ``column`` on."""

    form: Form
    rule: SpikeRule | None
    column: int = 0


@dataclass
class Layer:
    """``(start + sources + residuals) * factor + shift``, or a pooling; one step of the engine.

    Attributes:
        name: of the module that it stands for.
        kind: 0 a sum, else a pooling.
        sites: of the result.
        channels: C of the result.
        map: index of the kernel map, or ``NO_MAP`` where each row reads itself.
        transposed: the map is gone through from its outputs to its inputs.
    """

    name: str
    kind: int
    sites: int
    channels: int
    map: int = NO_MAP
    transposed: bool = False
    sources: list[Source] = field(default_factory=list)
    residuals: list[Form] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    start: Tensor | None = None
    factor: Tensor | None = None
    shift: Tensor | None = None


class Map(NamedTuple):
    """A kernel map between two sets of sites."""

    inputs: int
    outputs: int
    geometry: KernelGeometry


@dataclass
class Plan:
    """What the engine executes.

    Attributes:
        layers: in order.
        maps: kernel maps that they share.
        channels: of each table.
        outputs: table of each node that is a result.
    """

    layers: list[Layer]
    maps: list[Map]
    channels: dict[Form, int]
    outputs: dict[int, Form]


def make_plan(graph: Graph, outputs: list[int]) -> Plan:
    """Plans a recorded network.

    Args:
        graph: see :func:`spikevox.layers.graph.record`.
        outputs: nodes whose features are wanted.

    Raises:
        GraphError: a layer that the engine cannot take, by its name.
    """
    return _Planner(graph, outputs).plan()


class _Planner:
    def __init__(self, graph: Graph, outputs: list[int]) -> None:
        self.graph = graph
        self.wanted = outputs
        self.readers = Counter(i for node in graph.nodes for i in node.inputs) + Counter(outputs)
        self.consumer = {i: index for index, node in enumerate(graph.nodes) for i in node.inputs}
        self.layers: dict[int, list[Layer]] = {}
        self.maps: list[Map] = []
        self.channels: dict[Form, int] = {}
        self.fused: set[int] = set()

    def plan(self) -> Plan:
        # A node that ends a layer comes after all that the layer reads, so that layers run in the order of their ends.
        for index, node in enumerate(self.graph.nodes):
            if (
                index in self.fused
                or node.kind in ("input", "concatenate")
                or isinstance(node.module, Neuron | nn.ReLU)
            ):
                continue
            self._add_layer(index, node)
        outputs = {node: self._values(node) for node in dict.fromkeys(self.wanted)}
        layers = [layer for end in sorted(self.layers) for layer in self.layers[end] if layer.results]
        return Plan(layers, self.maps, self.channels, outputs)

    def _add_layer(self, index: int, node: Node) -> None:
        layer = Layer(node.name, SUM, node.sites, node.channels)
        end = index
        module = node.module
        if isinstance(module, SparseConvolution | nn.Linear):
            self._weigh(layer, node, module)
            end = self._fuse(layer, index)
        elif isinstance(module, GlobalPool | LocalPool3d):
            self._pool(layer, node, module)
        elif isinstance(module, nn.BatchNorm1d):
            layer.residuals.append(self._values(node.inputs[0]))
            layer.factor, layer.shift = _affine(node.name, module)
        elif node.kind == "add":
            layer.residuals += [self._values(i) for i in node.inputs]
            end = self._fuse(layer, index)
        else:
            raise GraphError(f"{node.name}: the event engine cannot run this layer.")
        self.layers.setdefault(end, []).append(layer)

    def _weigh(self, layer: Layer, node: Node, module: SparseConvolution | nn.Linear) -> None:
        """Sources, weights and kernel map of a convolution or a linear layer."""
        if isinstance(module, nn.Linear):
            weight = module.weight.detach().double().T[None]
        else:
            weight = _without_groups(module).double()
            layer.transposed = isinstance(module, SparseInverseConv3d)
            ends = (node.sites, self.graph.nodes[node.inputs[0]].sites)
            layer.map = self._map(*(ends if layer.transposed else ends[::-1]), module.geometry)
        _check_finite(node.name, weight)
        if module.bias is not None:
            layer.start = module.bias.detach().double()
        at = 0
        for part, rule in self._parts(node.inputs[0]):
            channels = self.graph.nodes[part].channels
            layer.sources.append(Source(self._form(part, rule, rule is not None), weight[:, at : at + channels]))
            at += channels

    def _map(self, inputs: int, outputs: int, geometry: KernelGeometry) -> int:
        if geometry.volume == 1 and inputs == outputs and geometry.padding == (0, 0, 0):
            return NO_MAP
        return self._shared(Map(inputs, outputs, geometry))

    def _shared(self, wanted: Map) -> int:
        if wanted not in self.maps:
            self.maps.append(wanted)
        return self.maps.index(wanted)

    def _fuse(self, layer: Layer, index: int) -> int:
        """Takes in the normalisation and the sums behind a layer; returns the last node that it covers."""
        root = index
        while self.readers[index] == 1 and index in self.consumer:
            behind = self.consumer[index]
            node = self.graph.nodes[behind]
            if isinstance(node.module, nn.BatchNorm1d) and layer.factor is None:
                self._normalise(layer, node)
            elif node.kind == "add" and layer.factor is None and behind not in self.fused:
                other = node.inputs[0] if node.inputs[1] == index else node.inputs[1]
                if other > root:  # not planned yet; what ends there takes in the sum
                    break
                layer.residuals.append(self._values(other))
            else:
                break
            self.fused.add(behind)
            index = behind
        return index

    def _normalise(self, layer: Layer, node: Node) -> None:
        if not isinstance(node.module, nn.BatchNorm1d):
            raise TypeError(f"expected a normalisation, got {node}")
        factor, shift = _affine(node.name, node.module)
        if layer.residuals:
            layer.factor, layer.shift = factor, shift
            return
        layer.sources = [s._replace(weight=None if s.weight is None else s.weight * factor) for s in layer.sources]
        layer.start = shift if layer.start is None else layer.start * factor + shift

    def _pool(self, layer: Layer, node: Node, module: nn.Module) -> None:
        kind = next((number for known, number in _POOLS.items() if isinstance(module, known)), None)
        source = self.graph.nodes[node.inputs[0]]
        if kind is None or source.sites == SAMPLES:
            raise GraphError(f"{node.name}: the event engine cannot run this pooling.")
        layer.kind = kind
        if isinstance(module, LocalPool3d):
            layer.map = self._shared(Map(source.sites, node.sites, module.geometry))
        layer.sources = [Source(self._values(node.inputs[0]), None)]

    def _parts(self, index: int, rule: SpikeRule | None = None) -> list[tuple[int, SpikeRule | None]]:
        """Results side by side, and the rule that fires them, that a node stands for: neurons act on each part alone."""
        node = self.graph.nodes[index]
        if node.kind == "concatenate":
            return [part for i in node.inputs for part in self._parts(i, rule)]
        if isinstance(node.module, Neuron | nn.ReLU) and rule is None:
            return self._parts(node.inputs[0], rule_of(node.name, node.module))
        if isinstance(node.module, Neuron | nn.ReLU):
            raise GraphError(f"{node.name}: the event engine takes one neuron after another only through a layer.")
        return [(index, rule)]

    def _form(self, base: int, rule: SpikeRule | None, events: bool) -> Form:
        """A table of a result; the layer that computes it is told to store it."""
        form = Form(base, rule, events)
        if form not in self.channels:
            self.channels[form] = self.graph.nodes[base].channels
            if form != Form(0, None, False):
                self._layer_of(base, rule).results.append(Result(form, rule))
        return form

    def _layer_of(self, base: int, rule: SpikeRule | None) -> Layer:
        """The layer that stores a result.

        The input is stored by none, and a pooling over samples stores plain values only: where more is wanted, a layer of
        its own copies them.
        """
        made = self.layers.setdefault(base, [])
        own = 0 if base == 0 else 1
        if own and not (rule and isinstance(self.graph.nodes[base].module, GlobalPool)):
            return made[0]
        if len(made) == own:
            node = self.graph.nodes[base]
            plain = self._form(base, None, False)
            made.append(Layer(node.name, SUM, node.sites, node.channels, residuals=[plain]))
        return made[own]

    def _values(self, index: int) -> Form:
        """The features of any node as one table of values."""
        parts = self._parts(index)
        if len(parts) == 1:
            return self._form(*parts[0], False)
        # Channels side by side: each part is copied to its place.
        form = Form(index, None, False)
        if form not in self.channels:
            node = self.graph.nodes[index]
            self.channels[form] = node.channels
            column = 0
            for base, rule in parts:
                channels = self.graph.nodes[base].channels
                copy = Layer(node.name, SUM, node.sites, channels, residuals=[self._values(base)])
                copy.results.append(Result(form, rule, column))
                self.layers.setdefault(index, []).append(copy)
                column += channels
        return form


def _affine(name: str, module: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Factor and shift (C,), float64, of a normalisation in evaluation mode."""
    if module.running_mean is None or module.running_var is None:
        raise GraphError(f"{name}: only a normalisation with running statistics can be run by itself.")
    mean, variance = module.running_mean.double(), module.running_var.double()
    scale = module.scale() if isinstance(module, BatchNorm) else module.weight
    factor = torch.rsqrt(variance + module.eps)
    if scale is not None:
        factor = factor * scale.detach().double()
    shift = -mean * factor
    if module.bias is not None:
        shift = shift + module.bias.detach().double()
    _check_finite(name, factor, shift)
    return factor, shift


def _without_groups(module: SparseConvolution) -> Tensor:
    """Weight (K, C_in, C_out), 0 between channels of different groups."""
    weight = module.weight.detach()
    if module.groups == 1:
        return weight
    result = weight.new_zeros(len(weight), module.in_channels, module.out_channels)
    rows, columns = module.in_channels // module.groups, module.out_channels // module.groups
    for g in range(module.groups):
        block = slice(g * columns, (g + 1) * columns)
        result[:, g * rows : (g + 1) * rows, block] = weight[:, :, block]
    return result


def _check_finite(name: str, *tensors: Tensor) -> None:
    if not all(bool(torch.isfinite(t).all()) for t in tensors):
        raise GraphError(f"{name}: its weights are not finite.")
