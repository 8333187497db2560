"""Results of our engine against an opponent's: layer by layer on the opponent's own spikes, and at the end.

In a whole network one neuron at a tie, flipped by a rounding, changes all that follows; so layers are compared one by one,
and of whole results it is only said how much of them agrees.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from spikevox.layers import SparseConv3d, SparseInverseConv3d, SparseTensor, event
from spikevox.layers.conv import SparseConvolution
from spikevox.layers.event.network import EventNetwork
from spikevox.layers.graph import SAMPLES, Graph, Output
from spikevox.layers.neurons.integer import ILIF
from support.recorded_network import RecordedNetwork

# Largest difference of a layer, as a share of its largest result: the order of float32 sums.
TOLERANCE = 1e-5
# Results that agree end to end lie this near to each other, as a share of the largest one.
AGREEING = 1e-4


def layer_difference(peer: RecordedNetwork, prepared: Any, values: list[Any]) -> float:
    """Largest difference of a layer's result on the peer's own input, as a share of the largest result.

    Each neuron with the convolution or linear layer behind it is compiled by itself and fed with the peer's membrane.

    Args:
        peer: with normalisations that are not folded.
        prepared: the peer's input.
        values: what each of its nodes gave.
    """
    graph = peer.graph
    worst = 0.0
    for index, node in enumerate(graph.nodes[:-1]):
        following = graph.nodes[index + 1]
        if (
            not isinstance(node.module, ILIF)
            or not isinstance(following.module, SparseConvolution | nn.Linear)
            or following.inputs != (index,)
        ):
            continue
        coordinates, membrane = peer.table(values[node.inputs[0]], node.sites, prepared)
        expected_at, expected = peer.table(values[index + 1], following.sites, prepared)
        if coordinates is None or expected_at is None:
            continue
        layer = (node.module, following.module)
        if isinstance(following.module, SparseInverseConv3d):
            spikes = peer.table(values[index], node.sites, prepared)[1]
            strides = (graph.sites[following.sites].tensor_stride, graph.sites[node.sites].floor)
            found_at, found = _inverse(following.module, coordinates, spikes, expected_at, *strides)
        else:
            found_at, found = _alone(layer, coordinates, membrane, graph.sites[node.sites].tensor_stride)
        worst = max(worst, _difference(found_at, found, expected_at, expected))
    return worst


def _alone(layer: tuple[nn.Module, nn.Module], coordinates: Tensor, membrane: Tensor, stride: Any) -> Any:
    """A neuron and the layer behind it, on our engine."""
    one = torch.zeros(1, 4, dtype=torch.int32)
    example = SparseTensor(torch.zeros(1, membrane.shape[1]), one, tensor_stride=stride, backend="compiled")
    engine = event.compile(nn.Sequential(*layer), example=example)
    found, found_at = engine.run(coordinates, membrane.contiguous(), int(coordinates[:, 0].max()) + 1).output
    return found_at, found


def _inverse(
    layer: SparseInverseConv3d, coordinates: Tensor, spikes: Tensor, finer: Tensor, stride: Any, floor: bool
) -> tuple[Tensor, Tensor]:
    """Our layer on the peer's spikes: its sites come from a layer that goes there, which the engine cannot take alone."""
    geometry = layer.geometry
    there = SparseConv3d(
        1,
        1,
        kernel_size=geometry.kernel_size,
        stride=geometry.stride,
        padding=geometry.padding,
        sites="stride" if floor and not geometry.tiles else "covered",
    )
    fine = SparseTensor(
        torch.zeros(len(finer), 1),
        finer,
        batch_size=int(finer[:, 0].max()) + 1,
        tensor_stride=stride,
        backend="compiled",
    )
    coarse = there(fine)
    ours, theirs = _order(coarse.coordinates), _order(coordinates)
    features = torch.empty_like(spikes)
    features[ours] = spikes[theirs]
    result = layer(coarse.replace(features))
    return result.coordinates, result.features


def agreement(
    engine: EventNetwork, graph: Graph, peer: RecordedNetwork, prepared: Any, values: list[Any], batch: Any
) -> float:
    """Share of the network's results on which our engine and a peer agree, each by itself from coordinates to the end."""
    output = engine.run(batch.coordinates, batch.features, batch.batch_size).output
    equal = total = 0
    for node, found in _results(graph.result, output):
        expected_at, expected = peer.table(values[node], graph.nodes[node].sites, prepared)
        if graph.nodes[node].sites == SAMPLES:
            # MinkowskiEngine's pooling loses the order of the samples: each row is compared with the one most like it.
            expected = expected[torch.cdist(found, expected).argmin(dim=1)]
        else:
            found, found_at = found
            found, expected = found[_order(found_at)], expected[_order(_sites(expected_at))]
        near = (found - expected).abs() <= AGREEING * expected.abs().max()
        equal, total = equal + int(near.sum()), total + near.numel()
    return equal / max(1, total)


def _results(result: Any, output: Any) -> Iterator[tuple[int, Any]]:
    """Node and value of each tensor that the network returns."""
    if isinstance(result, Output):
        yield result.node, output
    elif isinstance(result, dict):
        for key, part in result.items():
            yield from _results(part, output[key])
    else:
        for part, value in zip(result, output, strict=True):
            yield from _results(part, value)


def _sites(coordinates: Tensor | None) -> Tensor:
    if coordinates is None:
        raise SystemExit("a peer gives a row a sample where our engine gives one a site")
    return coordinates


def _order(coordinates: Tensor) -> Tensor:
    """Rows in ascending order of their coordinates."""
    rows = coordinates.to(torch.int64)
    least = rows.amin(dim=0)
    widths = (rows.amax(dim=0) - least + 1).tolist()
    key = torch.zeros(len(rows), dtype=torch.int64)
    for axis, width in enumerate(widths):
        key = key * width + rows[:, axis] - least[axis]
    return key.argsort()


def _difference(found_at: Tensor, found: Tensor, expected_at: Tensor, expected: Tensor) -> float:
    ours, theirs = _order(found_at), _order(expected_at)
    if found_at.shape != expected_at.shape or not torch.equal(found_at[ours], expected_at[theirs]):
        raise SystemExit(f"a layer has other output sites: {len(found_at)} here, {len(expected_at)} there")
    return float((found[ours] - expected[theirs]).abs().max() / expected.abs().max().clamp(min=1e-30))
