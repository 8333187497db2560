"""Additions and time of each layer of an event-driven network.

A layer is compiled by itself, with the neuron before it and the normalisation behind it, and fed with the membrane that the
network itself computes there. Its time is that of the arithmetic alone: sites and kernel maps, which layers share, are made
before. It includes turning its input into events and writing its result as values; in the network the layer before writes
the events, so the layers' sum is near the whole network's time, not equal to it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spikevox.encoding import VoxelBatch
from spikevox.layers import BatchNorm, SparseTensor, event
from spikevox.layers.conv import SparseConvolution, SparseInverseConv3d
from spikevox.layers.event.network import EventNetwork
from spikevox.layers.graph import SAMPLES, Graph, Output
from spikevox.layers.neurons.integer import ILIF
from support.timing import interleave


class LayerCost(NamedTuple):
    """What a layer costs.

    Attributes:
        name: path of its module.
        channels: in and out.
        pairs: matches of its kernel map.
        additions: executed, each of a weight times a number of spikes.
        milliseconds: CPU time.
        megabytes: that must move at least: its input and its result as float32, its weights, its kernel map.
    """

    name: str
    channels: tuple[int, int]
    pairs: int
    additions: int
    milliseconds: float
    megabytes: float

    @property
    def gflops(self) -> float:
        """Executed GFLOP/s, a multiplication and an addition counted as two."""
        return 2e-6 * self.additions / self.milliseconds

    @property
    def dense_gflops(self) -> float:
        """GFLOP/s that an engine which also multiplies zeros would need for the same time."""
        return 2e-6 * self.pairs * self.channels[0] * self.channels[1] / self.milliseconds

    @property
    def gigabytes(self) -> float:
        """GB/s of the bytes that must move."""
        return self.megabytes / self.milliseconds


def layer_costs(graph: Graph, batch: VoxelBatch, rounds: int) -> list[LayerCost]:
    """Costs of the convolutions, strided ones included, in their order; inverse and linear layers are left out."""
    wanted = [i for i, node in enumerate(graph.nodes) if _is_convolution(node.module)]
    read = {i: _before(graph, i) for i in wanted}
    nodes = sorted(set(read.values()) - {0})
    whole = EventNetwork(replace(graph, result=[Output(node) for node in nodes]), torch.float32)
    output = whole.run(batch.coordinates, batch.features, batch.batch_size).output
    tables = {0: (batch.features, batch.coordinates), **dict(zip(nodes, output, strict=True))}
    jobs: dict[str, Callable[[], object]] = {}
    facts: dict[str, tuple[tuple[int, int], int, int, float]] = {}
    for index in wanted:
        name = graph.nodes[index].name
        features, coordinates = tables[read[index]]
        job, additions, pairs, rows = _unit(graph, index, coordinates, features, batch.batch_size)
        channels = (features.shape[1], graph.nodes[index].channels)
        weights = graph.nodes[index].module.weight.numel()  # type: ignore[union-attr]
        floats = features.numel() + rows * channels[1] + weights
        jobs[name], facts[name] = job, (channels, pairs, additions, 4e-6 * (floats + pairs))
    times = interleave(jobs, rounds)
    return [
        LayerCost(name, channels, pairs, additions, times[name].cpu.median, megabytes)
        for name, (channels, pairs, additions, megabytes) in facts.items()
    ]


def _is_convolution(module: nn.Module | None) -> bool:
    return isinstance(module, SparseConvolution) and not isinstance(module, SparseInverseConv3d)


def _before(graph: Graph, index: int) -> int:
    """The node whose table a layer reads, before its neuron."""
    source = graph.nodes[index].inputs[0]
    return graph.nodes[source].inputs[0] if isinstance(graph.nodes[source].module, ILIF) else source


def _unit(
    graph: Graph, index: int, coordinates: Tensor, features: Tensor, batch_size: int
) -> tuple[Callable[[], object], int, int, int]:
    """A layer with its neuron and normalisation: what runs it, its additions, pairs and rows of its result."""
    node, source = graph.nodes[index], graph.nodes[graph.nodes[index].inputs[0]]
    following = graph.nodes[index + 1] if index + 1 < len(graph.nodes) else None
    parts = [
        *([source.module] if isinstance(source.module, ILIF) else []),
        node.module,
        *([following.module] if following is not None and isinstance(following.module, BatchNorm) else []),
    ]
    engine, features = _compile(graph, source.sites, parts, features), features.contiguous()
    session = engine._network.prepare(coordinates, batch_size)
    additions = engine.run(coordinates, features, batch_size).additions
    # The layer without its neuron counts all products of its kernel map.
    dense = _compile(graph, source.sites, [node.module], features).run(coordinates, features, batch_size).additions
    pairs = dense // (features.shape[1] * node.channels)
    rows = session.rows(0 if node.sites == source.sites else 1)
    return lambda: engine._network.execute(session, features), additions, pairs, rows


def _compile(graph: Graph, sites: int, parts: list[nn.Module | None], features: Tensor) -> EventNetwork:
    if sites == SAMPLES:
        raise ValueError("a convolution reads sites")
    example = SparseTensor(
        torch.zeros(1, features.shape[1]),
        torch.zeros(1, 4, dtype=torch.int32),
        tensor_stride=graph.sites[sites].tensor_stride,
        backend="compiled",
    )
    return event.compile(nn.Sequential(*(part for part in parts if part is not None)), example=example)
