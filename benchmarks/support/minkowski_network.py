"""A recorded network written in MinkowskiEngine alone: the peer that the benchmarks run against."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spikevox.encoding import VoxelBatch
from spikevox.layers import BatchNorm, GlobalMeanPool, SparseConv3d, SparseInverseConv3d, SubmanifoldConv3d
from spikevox.layers.backends import minkowski
from spikevox.layers.backends.geometry import default_padding
from spikevox.layers.conv import SparseConvolution
from spikevox.layers.graph import SAMPLES, Graph, Node
from spikevox.layers.neurons.integer import ILIF
from support.recorded_network import RecordedNetwork, integer_spikes


class Input(NamedTuple):
    """An input as MinkowskiEngine takes it.

    Attributes:
        coordinates: (N, 4) int32.
        derived: coordinates of each set of sites of the graph.
        keys: of sites by their number, while it runs.
    """

    coordinates: Tensor
    derived: dict[int, Tensor]
    keys: dict[int, Any]


class MinkowskiNetwork(RecordedNetwork):
    """Convolutions, batch normalisations, linear layers and pooling of MinkowskiEngine; I-LIF and sums on features.

    One coordinate manager an input, its keys shared by all layers. Its algorithms differ on CUDA only: there is one on
    the CPU.

    Args:
        graph: a recorded network, float32.
        fold: fold the batch normalisations into the convolutions.
    """

    def __init__(self, graph: Graph, *, fold: bool) -> None:
        super().__init__(graph, fold=fold)
        self.engine = minkowski.load()
        for index, node in enumerate(graph.nodes):
            module = node.module
            if isinstance(module, SparseConvolution):
                self.steps[str(index)] = self._convolution(index, module)
            elif isinstance(module, BatchNorm) and index not in self.folded:
                norm = self.engine.MinkowskiBatchNorm(node.channels, eps=module.eps)
                norm.bn.load_state_dict(module.state_dict())
                self.steps[str(index)] = norm
            elif isinstance(module, nn.Linear):
                self.steps[str(index)] = self._linear(index, module)
            elif isinstance(module, GlobalMeanPool):
                self.steps[str(index)] = self.engine.MinkowskiGlobalAvgPooling()
        self.eval()

    def _convolution(self, index: int, module: SparseConvolution) -> nn.Module:
        geometry = module.geometry
        kind = {
            SubmanifoldConv3d: self.engine.MinkowskiConvolution,
            SparseConv3d: self.engine.MinkowskiConvolution,
            SparseInverseConv3d: self.engine.MinkowskiConvolutionTranspose,
        }[type(module)]
        if geometry.padding != default_padding(geometry.kernel_size, geometry.dilation):
            # MinkowskiEngine's kernels are centred, and its own list of offsets does not work (it asks a tensor for its
            # truth): our layer calls its kernels with shifted sites.
            return module
        layer = kind(
            module.in_channels,
            module.out_channels,
            kernel_size=list(geometry.kernel_size),
            stride=list(geometry.stride),
            dilation=list(geometry.dilation),
            bias=True,
            dimension=3,
        )
        weight, bias = self.folded_weights(index, module.weight, module.bias)
        with torch.no_grad():
            layer.kernel.copy_(weight.reshape(layer.kernel.shape))
            layer.bias.zero_() if bias is None else layer.bias.copy_(bias.reshape(layer.bias.shape))
        if bias is None:
            layer.bias = None
        return layer

    def _linear(self, index: int, module: nn.Linear) -> nn.Module:
        weight, bias = self.folded_weights(index, module.weight.T, module.bias)
        layer = self.engine.MinkowskiLinear(module.in_features, module.out_features, bias=bias is not None)
        with torch.no_grad():
            layer.linear.weight.copy_(weight.T)
            if bias is not None:
                layer.linear.bias.copy_(bias)
        return layer

    def _same(self, x: Any, features: Tensor) -> Any:
        return self.engine.SparseTensor(
            features, coordinate_map_key=x.coordinate_map_key, coordinate_manager=x.coordinate_manager
        )

    def prepare(self, batch: VoxelBatch, derived: dict[int, Tensor]) -> Input:
        """Sites that MinkowskiEngine does not derive by itself are given to it ready made."""
        return Input(batch.coordinates, derived, {})

    def table(self, value: Any, sites: int, prepared: Input) -> tuple[Tensor | None, Tensor]:
        """See :meth:`RecordedNetwork.table`."""
        if sites == SAMPLES:
            return None, value.F
        return value.C.contiguous(), value.F

    def forward(self, prepared: Input, features: Tensor, *, keep: bool = False) -> list[Any]:
        """What each node gives; see :meth:`RecordedNetwork.run`."""
        x = self.engine.SparseTensor(features, prepared.coordinates)
        return self.run(x, prepared._replace(keys={0: x.coordinate_map_key}), keep=keep)

    def step(self, index: int, node: Node, inputs: list[Any], context: Input) -> Any:
        """The result of one node."""
        x = inputs[0]
        if node.kind == "add":
            return self._same(x, x.F + inputs[1].F)
        if node.kind == "concatenate":
            return self._same(x, torch.cat([part.F for part in inputs], dim=1))
        if isinstance(node.module, ILIF):
            return self._same(x, integer_spikes(x.F, node.module))
        if index in self.folded:
            return x
        result = self._layer(self.steps[str(index)], node, x, context)
        if node.sites >= 0:
            context.keys.setdefault(node.sites, result.coordinate_map_key)
        return result

    def _layer(self, layer: nn.Module, node: Node, x: Any, context: Input) -> Any:
        if isinstance(node.module, GlobalMeanPool) and len(x.F) == int(x.C[:, 0].max()) + 1:
            # Its pooling stops at an assertion where there are as many sites as samples: each is the mean of itself.
            return x
        sites = self.graph.sites[node.sites]
        if isinstance(node.module, SparseInverseConv3d):
            return layer(x, coordinates=context.keys[node.sites])
        if isinstance(node.module, SparseConv3d) and not sites.floor and layer is not node.module:
            if node.sites not in context.keys:
                context.keys[node.sites], _ = x.coordinate_manager.insert_and_map(
                    context.derived[node.sites], list(sites.tensor_stride)
                )
            return layer(x, coordinates=context.keys[node.sites])
        return layer(x)
