"""A recorded network written in spconv: the second peer that the benchmarks run against, where it is installed."""

import importlib.metadata
import importlib.util
import logging
import os
import warnings
from math import ceil, lcm
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spikevox.encoding import VoxelBatch
from spikevox.layers import BatchNorm, GlobalMeanPool, SparseInverseConv3d, SubmanifoldConv3d
from spikevox.layers.backends.geometry import default_padding
from spikevox.layers.conv import SparseConvolution
from spikevox.layers.graph import SAMPLES, Graph, Node
from spikevox.layers.neurons.integer import ILIF
from support.recorded_network import RecordedNetwork, integer_spikes

INSTALL = "pip install spconv==2.3.8"


def reason_absent() -> str:
    """Why spconv cannot be run here, with what to do; empty where it can."""
    if importlib.util.find_spec("spconv") is None:
        return f"spconv is not installed: {INSTALL}"
    if os.environ.get("OMP_NUM_THREADS") != "1":
        return "spconv's CPU code is run on one OpenMP thread only: set OMP_NUM_THREADS=1"
    return ""


def version() -> str | None:
    """Version of spconv, ``None`` where it is not installed."""
    return importlib.metadata.version("spconv") if importlib.util.find_spec("spconv") is not None else None


def _load() -> Any:
    # torch.fx, which it imports for its int8 kernels, logs a warning that concerns nobody here.
    logging.getLogger("torch.fx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("spconv.pytorch")


class Grid(NamedTuple):
    """An input as spconv takes it.

    Attributes:
        indices: (N, 4) int32: sample, x, y, z, from zero.
        shape: extent along x, y, z.
        batch_size: B.
        origin: (4,) what was taken from the coordinates.
    """

    indices: Tensor
    shape: tuple[int, int, int]
    batch_size: int
    origin: Tensor


class SpconvNetwork(RecordedNetwork):
    """Convolutions of spconv, one index key a set of sites and kernel; all else is torch on features.

    Its build for CPUs has one algorithm, ``ConvAlgo.Native``.

    Args:
        graph: a recorded network, float32.
        fold: fold the batch normalisations into the convolutions.

    Raises:
        ValueError: a layer whose output sites spconv does not make.
    """

    def __init__(self, graph: Graph, *, fold: bool) -> None:
        super().__init__(graph, fold=fold)
        self.engine = _load()
        self.bias = nn.ParameterDict()
        for index, node in enumerate(graph.nodes):
            module = node.module
            if isinstance(module, SparseConvolution):
                self.steps[str(index)] = self._convolution(index, node, module)
            elif isinstance(module, BatchNorm) and index not in self.folded:
                norm = nn.BatchNorm1d(node.channels, eps=module.eps)
                norm.load_state_dict(module.state_dict())
                self.steps[str(index)] = norm
            elif isinstance(module, nn.Linear):
                self.steps[str(index)] = self._linear(index, module)
        self.eval()

    def _convolution(self, index: int, node: Node, module: SparseConvolution) -> nn.Module:
        geometry = module.geometry
        kernel = list(geometry.kernel_size)
        source = self.graph.nodes[node.inputs[0]].sites
        weight, bias = self.folded_weights(index, module.weight, module.bias)
        channels = (module.in_channels, module.out_channels)
        layer: nn.Module
        if isinstance(module, SubmanifoldConv3d):
            if geometry.padding != default_padding(geometry.kernel_size, geometry.dilation):
                raise ValueError(f"{node.name}: spconv's submanifold kernels are centred.")
            key = f"{source}-{geometry.kernel_size}-{geometry.dilation}"
            layer = self.engine.SubMConv3d(
                *channels, kernel, dilation=list(geometry.dilation), bias=False, indice_key=key
            )
        elif isinstance(module, SparseInverseConv3d):
            layer = self.engine.SparseInverseConv3d(*channels, kernel, indice_key=str(source), bias=False)
        else:
            if self.graph.sites[node.sites].floor and not geometry.tiles:
                raise ValueError(f"{node.name}: spconv makes all sites that the kernel touches.")
            layer = self.engine.SparseConv3d(
                *channels,
                kernel,
                stride=list(geometry.stride),
                padding=list(geometry.padding),
                dilation=list(geometry.dilation),
                bias=False,
                indice_key=str(node.sites),
            )
        x, y, z = kernel
        with torch.no_grad():
            # Ours: x runs fastest over the rows of the kernel.
            layer.weight.copy_(weight.reshape(z, y, x, *channels).permute(4, 2, 1, 0, 3))
        if bias is not None:
            # Its code for CPUs refuses layers with a bias in evaluation mode.
            self.bias[str(index)] = nn.Parameter(bias.detach().flatten().clone())
        return layer

    def _linear(self, index: int, module: nn.Linear) -> nn.Module:
        weight, bias = self.folded_weights(index, module.weight.T, module.bias)
        layer = nn.Linear(module.in_features, module.out_features, bias=bias is not None)
        with torch.no_grad():
            layer.weight.copy_(weight.T)
            if bias is not None:
                layer.bias.copy_(bias)
        return layer

    def prepare(self, batch: VoxelBatch, derived: dict[int, Tensor]) -> Grid:
        """Coordinates moved to zero, in an extent at whose end no layer drops a site."""
        coordinates, batch_size = batch.coordinates, batch.batch_size
        bounds = self.graph.sites[1].extent if len(self.graph.sites) > 1 else None
        if bounds is not None:
            return Grid(coordinates, bounds, batch_size, torch.zeros(4, dtype=torch.int32))
        origin = coordinates.amin(dim=0)
        origin[0] = 0
        strides = [lcm(*axis) for axis in zip(*(sites.tensor_stride for sites in self.graph.sites), strict=True)]
        # A kernel's grid starts at zero: only multiples of the coarsest stride may be taken away.
        steps = torch.tensor([1, *strides], dtype=torch.int32)
        origin = torch.div(origin, steps, rounding_mode="floor") * steps
        indices = (coordinates - origin).contiguous()
        x, y, z = (s * ceil((n + 1) / s) for n, s in zip(indices.amax(dim=0)[1:].tolist(), strides, strict=True))
        return Grid(indices, (x, y, z), batch_size, origin)

    def table(self, value: Any, sites: int, prepared: Grid) -> tuple[Tensor | None, Tensor]:
        """See :meth:`RecordedNetwork.table`."""
        if sites == SAMPLES:
            return None, value
        scale = torch.tensor([1, *self.graph.sites[sites].tensor_stride], dtype=torch.int32)
        return (value.indices * scale + prepared.origin).contiguous(), value.features

    def forward(self, prepared: Grid, features: Tensor, *, keep: bool = False) -> list[Any]:
        """What each node gives; see :meth:`RecordedNetwork.run`."""
        x = self.engine.SparseConvTensor(features, prepared.indices, list(prepared.shape), prepared.batch_size)
        return self.run(x, None, keep=keep)

    def step(self, index: int, node: Node, inputs: list[Any], context: Any) -> Any:
        """The result of one node."""
        x = inputs[0]
        if node.kind == "add":
            return x.replace_feature(x.features + inputs[1].features)
        if node.kind == "concatenate":
            return x.replace_feature(torch.cat([part.features for part in inputs], dim=1))
        if isinstance(node.module, ILIF):
            return x.replace_feature(integer_spikes(x.features, node.module))
        if isinstance(node.module, GlobalMeanPool):
            return _mean(x.features, x.indices[:, 0].long(), x.batch_size)
        if index in self.folded:
            return x
        layer = self.steps[str(index)]
        if isinstance(node.module, SparseConvolution):
            result = layer(x)
            if str(index) in self.bias:
                result.features.add_(self.bias[str(index)])
            return result
        return x.replace_feature(layer(x.features)) if node.sites >= 0 else layer(x)


def _mean(features: Tensor, samples: Tensor, batch_size: int) -> Tensor:
    """Mean (B, C) of the rows of each sample."""
    if batch_size == 1:
        return features.mean(dim=0, keepdim=True)
    total = features.new_zeros(batch_size, features.shape[1]).index_add_(0, samples, features)
    return total / torch.bincount(samples, minlength=batch_size).clamp(min=1)[:, None]
