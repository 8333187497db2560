"""From a NIR graph, with or without nodes of spikevox, to a network that runs."""

from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import torch
from torch import nn

from spikevox.layers.conv import SparseConv3d, SparseConvolution, SparseInverseConv3d, SubmanifoldConv3d
from spikevox.layers.deploy.nir_export import TIME_STEP, checked_graph
from spikevox.layers.deploy.nir_nodes import (
    NODES,
    SpikevoxConcatenation,
    SpikevoxConvolution,
    SpikevoxGlobalPool,
    SpikevoxILIF,
    SpikevoxLIF,
    SpikevoxNormalisation,
)
from spikevox.layers.errors import DeployFileError, GraphError
from spikevox.layers.linear import Linear
from spikevox.layers.neurons.binary import IF, LIF
from spikevox.layers.neurons.integer import ILIF
from spikevox.layers.pool import GlobalMaxPool, GlobalMeanPool, GlobalSumPool
from spikevox.layers.sparse_tensor import features_of, with_features

_POOLS = {"mean": GlobalMeanPool, "sum": GlobalSumPool, "max": GlobalMaxPool}


def write_nir(graph: "nir.NIRGraph", path: str | Path) -> None:
    """Writes a graph to a file of NIR (HDF5)."""
    nir.write(str(path), graph)


def read_nir(path: str | Path) -> "nir.NIRGraph":
    """Reads a graph that may have nodes of spikevox; ``nir.read`` reads plain ones.

    Raises:
        DeployFileError: a file that is damaged or no NIR graph.
        FileNotFoundError: there is none.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is not there.")
    try:
        with h5py.File(path, "r") as file:
            found = nir.serialization.hdf2dict(file["node"])
        nodes = {name: _node_of(fields) for name, fields in found["nodes"].items()}
        edges = [(_text(source), _text(target)) for source, target in found["edges"]]
        return checked_graph(nodes, edges, found.get("metadata", {}))
    except (OSError, KeyError, TypeError, ValueError, AssertionError, AttributeError) as error:
        raise DeployFileError(str(path), f"no NIR graph that can be read ({error}).") from error


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _node_of(fields: dict[str, Any]) -> Any:
    kind = fields.get("type")
    return NODES[kind].from_dict(fields) if kind in NODES else nir.dict2NIRNode(fields)


def from_nir(graph: "nir.NIRGraph", *, time_steps: int | None = None) -> nn.Module:
    """A network that runs a graph.

    Args:
        graph: plain, or with nodes of spikevox.
        time_steps: T of plain tensors (T, ...); SparseTensors tell theirs.

    Returns:
        A module in evaluation mode: takes a SparseTensor or a plain tensor, and returns the output, or a dict of the outputs by
        name where there are several.

    Raises:
        GraphError: a node or an equation that spikevox has no layer for; it is named.
    """
    return NirNetwork(graph, time_steps).eval()


class NirNetwork(nn.Module):
    """See :func:`from_nir`."""

    def __init__(self, graph: "nir.NIRGraph", time_steps: int | None) -> None:
        super().__init__()
        self.sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for source, target in graph.edges:
            self.sources[target].append(source)
        self.order = _ordered(self.sources)
        self.like = {name: node.like for name, node in graph.nodes.items() if isinstance(node, SpikevoxConvolution)}
        self.joined = {
            name: node.sources.split(",")
            for name, node in graph.nodes.items()
            if isinstance(node, SpikevoxConcatenation)
        }
        self.inputs = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
        self.outputs = [name for name, node in graph.nodes.items() if isinstance(node, nir.Output)]
        if len(self.inputs) != 1 or not self.outputs:
            raise GraphError(
                f"a graph with one input and at least one output is needed, got {len(self.inputs)} inputs."
            )
        self.layers = nn.ModuleDict()
        for name, node in graph.nodes.items():
            if not isinstance(node, nir.Input | nir.Output | SpikevoxConcatenation):
                self.layers[name] = _layer(name, node, time_steps)

    def forward(self, x: Any) -> Any:
        """The output, or a dict of the outputs."""
        values = {self.inputs[0]: x}
        for name in self.order:
            if name in values:
                continue
            if name in self.joined:
                parts = [values[source] for source in self.joined[name]]
                features = torch.cat([features_of(part) for part in parts], dim=-1)
                values[name] = with_features(parts[0], features)
                continue
            total = values[self.sources[name][0]]
            for source in self.sources[name][1:]:
                total = total + values[source]
            like = [values[self.like[name]]] if self.like.get(name) else []
            values[name] = self.layers[name](total, *like) if name in self.layers else total
        if len(self.outputs) == 1:
            return values[self.outputs[0]]
        return {name: values[name] for name in self.outputs}


def _ordered(sources: dict[str, list[str]]) -> list[str]:
    """Names so that each comes after its sources."""
    order: list[str] = []
    waiting = dict(sources)
    while waiting:
        ready = [name for name, before in waiting.items() if not any(one in waiting for one in before)]
        if not ready:
            raise GraphError(f"the graph is recurrent at {', '.join(sorted(waiting)[:3])}; networks here run forward.")
        order += ready
        for name in ready:
            del waiting[name]
    return order


class _Channelwise(nn.Module):
    """``scale x + shift`` a channel."""

    def __init__(self, scale: Any, shift: Any) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(_tensor(scale)), nn.Parameter(_tensor(shift))

    def forward(self, x: Any) -> Any:
        return with_features(x, features_of(x) * self.scale + self.shift)


def _tensor(array: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(array))


def _layer(name: str, node: Any, time_steps: int | None) -> nn.Module:
    if isinstance(node, SpikevoxConvolution):
        return _convolution(name, node)
    if isinstance(node, nir.Affine | nir.Linear):
        linear = Linear(node.weight.shape[1], node.weight.shape[0], bias=isinstance(node, nir.Affine))
        linear.weight = nn.Parameter(_tensor(node.weight))
        if isinstance(node, nir.Affine):
            linear.bias = nn.Parameter(_tensor(node.bias))
        return linear
    if isinstance(node, nir.Scale):
        # Branches are added before it; a scale of one changes nothing.
        return nn.Identity() if np.all(node.scale == 1) else _Channelwise(node.scale, np.zeros_like(node.scale))
    if isinstance(node, SpikevoxNormalisation):
        return _Channelwise(node.scale, node.shift)
    if isinstance(node, SpikevoxGlobalPool) and node.kind in _POOLS:
        return _POOLS[node.kind]()
    return _neuron(name, node, time_steps)


def _neuron(name: str, node: Any, time_steps: int | None) -> nn.Module:
    if isinstance(node, SpikevoxILIF):
        return ILIF(int(node.levels), decay=float(node.decay), time_steps=time_steps)
    if isinstance(node, SpikevoxLIF):
        return LIF(decay=float(node.decay), threshold=float(node.threshold), time_steps=time_steps)
    if not isinstance(node, nir.LIF | nir.IF):
        raise GraphError(f"{name}: spikevox has no layer for NIR's {type(node).__name__}.")
    numbers = [np.unique(node.v_threshold), np.unique(node.v_reset), np.unique(node.r)]
    simple = all(len(part) == 1 for part in numbers) and numbers[1][0] == 0
    if isinstance(node, nir.IF):
        if not simple or numbers[2][0] != 1:
            raise GraphError(f"{name}: only neurons of one threshold, a reset to 0 and r = 1 can be run.")
        return IF(threshold=float(numbers[0][0]), reset="hard", time_steps=time_steps)
    tau = np.unique(node.tau)
    if not simple or len(tau) != 1 or np.any(node.v_leak != 0) or not np.isclose(numbers[2][0] * TIME_STEP / tau[0], 1):
        raise GraphError(
            f"{name}: only LIF neurons of one threshold, a reset to 0, no leak potential and r = tau / {TIME_STEP} can be run."
        )
    # Rounded where it was made from a decay of a few digits.
    decay = round(1 - TIME_STEP / float(tau[0]), 12)
    return LIF(decay=decay, threshold=float(numbers[0][0]), reset="hard", time_steps=time_steps)


def _convolution(name: str, node: SpikevoxConvolution) -> SparseConvolution:
    kernel, stride, padding, dilation = (
        tuple(int(number) for number in part) for part in (node.kernel_size, node.stride, node.padding, node.dilation)
    )
    groups = int(node.groups)
    channels = (node.weight.shape[1] * groups, node.weight.shape[2])
    options: dict[str, Any] = {
        "kernel_size": kernel, "dilation": dilation, "groups": groups, "bias": bool(node.bias.size)
    }  # fmt: skip
    layer: SparseConvolution
    if node.kind == "submanifold":
        layer = SubmanifoldConv3d(*channels, **options)
    elif node.kind == "strided":
        extent = None if node.extent[0] < 0 else tuple(int(number) for number in node.extent)
        sites: Any = "stride" if node.floor else "covered"
        layer = SparseConv3d(*channels, stride=stride, padding=padding, sites=sites, extent=extent, **options)
    elif node.kind == "inverse":
        layer = SparseInverseConv3d(*channels, stride=stride, padding=padding, **options)
    else:
        raise GraphError(f"{name}: an unknown kind of convolution, {node.kind!r}.")
    if layer.weight.shape != node.weight.shape or layer.geometry.padding != padding:
        raise GraphError(
            f"{name}: its weight {node.weight.shape} or padding {padding} does not fit its kernel {kernel}."
        )
    layer.weight = nn.Parameter(_tensor(node.weight))
    if node.bias.size:
        layer.bias = nn.Parameter(_tensor(node.bias))
    return layer
