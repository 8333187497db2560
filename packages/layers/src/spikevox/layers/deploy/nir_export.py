"""From a network to a NIR graph: plain where NIR has the node, with nodes of spikevox where it has not."""

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikevox.layers.conv import SparseConv3d, SparseConvolution, SparseInverseConv3d
from spikevox.layers.deploy.nir_nodes import (
    SpikevoxConcatenation,
    SpikevoxConvolution,
    SpikevoxGlobalPool,
    SpikevoxILIF,
    SpikevoxLIF,
    SpikevoxNormalisation,
)
from spikevox.layers.errors import GraphError
from spikevox.layers.graph import Graph, Node, Output, record
from spikevox.layers.neurons.binary import LIF, AdaptiveLIF
from spikevox.layers.neurons.integer import ILIF
from spikevox.layers.neurons.neuron import Neuron
from spikevox.layers.norm import BatchNorm
from spikevox.layers.pool import GlobalMaxPool, GlobalMeanPool, GlobalPool, GlobalSumPool
from spikevox.layers.sparse_tensor import SparseTensor

# Of NIR's differential equations, in seconds; what its readers assume by default.
TIME_STEP = 1e-4
_POOLS: dict[type[GlobalPool], str] = {GlobalMeanPool: "mean", GlobalSumPool: "sum", GlobalMaxPool: "max"}


def to_nir(
    network: nn.Module, *, call: Callable[[Any], Any] | None = None, example: SparseTensor | None = None
) -> "nir.NIRGraph":
    """A network as a NIR graph, in evaluation mode.

    Linear layers and binary neurons of hard reset become plain NIR, in steps of 0.1 ms, which other tools read; sparse
    convolutions, integer spikes, soft resets, pools and channels side by side become nodes of spikevox
    (:mod:`~spikevox.layers.deploy.nir_nodes`), which :func:`read_nir` reads. A normalisation is folded into the layer before it.

    Args:
        network: of layers of this package.
        call: what to run, where it is not the network itself: takes a SparseTensor.
        example: an input like those to come; by default a few sites with as many channels as the first layer takes.

    Raises:
        GraphError: a layer without a node; it is named.
    """
    neurons = [module for module in network.modules() if isinstance(module, Neuron)]
    steps = [neuron.time_steps for neuron in neurons]
    try:
        # A graph is that of one step: time is in the equations of its neurons.
        for neuron in neurons:
            neuron.time_steps = None
        graph = record(network, call=call, example=example)
    finally:
        for neuron, count in zip(neurons, steps, strict=True):
            neuron.time_steps = count
    return _Export(graph).graph()


def checked_graph(nodes: dict[str, Any], edges: list[tuple[str, str]], metadata: dict[str, Any]) -> "nir.NIRGraph":
    """A graph whose shapes NIR has compared, unless inputs are joined, each of which has a part of the channels."""
    joined = any(isinstance(node, SpikevoxConcatenation) for node in nodes.values())
    return nir.NIRGraph(nodes, edges, metadata=metadata, type_check=not joined)


class _Export:
    def __init__(self, graph: Graph) -> None:
        self.recorded = graph
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.names: list[str] = []

    def graph(self) -> "nir.NIRGraph":
        """The graph."""
        channels = self.recorded.nodes[0].channels
        self.nodes["input"] = nir.Input(input_type={"input": np.array([channels])})
        self.names.append("input")
        for index, node in enumerate(self.recorded.nodes[1:], 1):
            self._add(index, node)
        for path, source in _outputs(self.recorded.result):
            name = "_".join(["output", *path])
            shape = np.array([self.recorded.nodes[source].channels])
            self.nodes[name] = nir.Output(output_type={"output": shape})
            self.edges.append((self.names[source], name))
        return checked_graph(self.nodes, self.edges, {"spikevox": 1})

    def _add(self, index: int, node: Node) -> None:
        before = node.inputs[0] if node.inputs else 0
        if isinstance(node.module, nn.BatchNorm1d) and self._only_reader(before):
            known = self.nodes[self.names[before]]
            if isinstance(known, nir.Affine | nir.Linear | SpikevoxConvolution) and not known.metadata:
                self.nodes[self.names[before]] = _folded(known, *_affine(node.module))
                self.names.append(self.names[before])
                return
        name = self._free(node.name.partition(" ")[0].replace(".", "_") or "layer")
        if node.kind == "add" and len(set(node.inputs)) != 2:
            raise GraphError(f"{node.name}: NIR has no sum of a tensor with itself.")
        self.nodes[name] = self._node(node)
        self.names.append(name)
        self.edges += [(self.names[i], name) for i in dict.fromkeys(node.inputs)]

    def _only_reader(self, index: int) -> bool:
        readers = [i for node in self.recorded.nodes for i in node.inputs] + [
            s for _, s in _outputs(self.recorded.result)
        ]
        return readers.count(index) == 1 and bool(index)

    def _free(self, stem: str) -> str:
        name, count = stem, 1
        while name in self.nodes:
            count += 1
            name = f"{stem}_{count}"
        return name

    def _node(self, node: Node) -> Any:
        module, channels = node.module, node.channels
        if node.kind == "add":
            return nir.Scale(scale=np.ones(channels))
        if node.kind == "concatenate":
            return SpikevoxConcatenation(",".join(self.names[i] for i in node.inputs), channels)
        if isinstance(module, SparseConvolution):
            return self._convolution(module, node)
        if isinstance(module, nn.Linear):
            weight = _array(module.weight)
            return nir.Linear(weight) if module.bias is None else nir.Affine(weight, _array(module.bias))
        if isinstance(module, nn.BatchNorm1d):
            return SpikevoxNormalisation(*_affine(module))
        if type(module) in _POOLS:
            return SpikevoxGlobalPool(_POOLS[type(module)], channels)  # type: ignore[index]
        return _neuron(node, channels)

    def _convolution(self, module: SparseConvolution, node: Node) -> SpikevoxConvolution:
        kind, floor, extent, like = "submanifold", False, None, ""
        if isinstance(module, SparseConv3d):
            kind, floor, extent = "strided", module.sites == "stride", module.extent
        elif isinstance(module, SparseInverseConv3d):
            kind = "inverse"
            like = next(
                name for name, other in zip(self.names, self.recorded.nodes, strict=False) if other.sites == node.sites
            )
        bias = np.zeros(0, _array(module.weight).dtype) if module.bias is None else _array(module.bias)
        kernel, stride, padding, dilation = (np.array(part) for part in module.geometry)
        bounds = np.array((-1, -1, -1) if extent is None else extent)
        weight = _array(module.weight)
        return SpikevoxConvolution(
            weight, bias, kind, kernel, stride, padding, dilation, module.groups, int(floor), bounds, like
        )


def _neuron(node: Node, channels: int) -> Any:
    module = node.module
    if isinstance(module, ILIF):
        return SpikevoxILIF(module.levels, float(module.decay), channels)
    if not isinstance(module, LIF) or isinstance(module, AdaptiveLIF):
        raise GraphError(f"{node.name}: neither NIR nor spikevox has a node for this layer.")
    decay, threshold = float(torch.as_tensor(module.leak()).detach()), float(module.threshold)
    if module.reset == "soft":
        return SpikevoxLIF(decay, threshold, channels)
    ones, zeros = np.ones(channels), np.zeros(channels)
    if decay == 1:
        return nir.IF(r=ones, v_threshold=threshold * ones, v_reset=zeros)
    # An Euler step of tau dv/dt = -v + r i takes v to (1 - dt/tau) v + (dt r / tau) i.
    tau = TIME_STEP / (1 - decay) * ones
    return nir.LIF(tau=tau, r=tau / TIME_STEP, v_leak=zeros, v_threshold=threshold * ones, v_reset=zeros)


def _affine(module: nn.BatchNorm1d) -> tuple[NDArray[Any], NDArray[Any]]:
    if module.running_mean is None or module.running_var is None:
        raise GraphError("only a normalisation with running statistics can be exported.")
    scale = module.scale() if isinstance(module, BatchNorm) else module.weight
    factor = torch.rsqrt(module.running_var.double() + module.eps) * (1.0 if scale is None else scale.double())
    shift = -module.running_mean.double() * factor
    if module.bias is not None:
        shift = shift + module.bias.double()
    return _array(factor.to(module.running_mean.dtype)), _array(shift.to(module.running_mean.dtype))


def _folded(node: Any, factor: NDArray[Any], shift: NDArray[Any]) -> Any:
    """A layer with the normalisation behind it; marked, so that it takes in no second one."""
    marked = {"folded": 1}
    if isinstance(node, SpikevoxConvolution):
        bias = shift if not node.bias.size else node.bias * factor + shift
        rest = (node.kernel_size, node.stride, node.padding, node.dilation, node.groups, node.floor, node.extent)
        return SpikevoxConvolution(node.weight * factor, bias, node.kind, *rest, node.like, metadata=marked)
    bias = shift if isinstance(node, nir.Linear) else node.bias * factor + shift
    return nir.Affine(node.weight * factor[:, None], bias, metadata=marked)


def _array(tensor: Tensor) -> NDArray[Any]:
    return np.ascontiguousarray(tensor.detach().cpu().numpy())


def _outputs(result: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], int]]:
    if isinstance(result, Output):
        return [(path, result.node)]
    if isinstance(result, dict):
        parts = [(str(key), value) for key, value in result.items()]
    elif hasattr(result, "_fields"):
        parts = list(zip(result._fields, result, strict=True))
    else:
        parts = [(str(position), value) for position, value in enumerate(result)]
    return [found for key, value in parts for found in _outputs(value, (*path, key))]
