"""A recorded network written in MinkowskiEngine alone: the peer that the benchmarks run against."""

from typing import Any

import torch
from torch import Tensor, nn

from spikevox.layers import (
    BatchNorm,
    GlobalMeanPool,
    SparseConv3d,
    SparseInverseConv3d,
    SubmanifoldConv3d,
    integer_spike,
)
from spikevox.layers.backends import minkowski
from spikevox.layers.backends.geometry import default_padding
from spikevox.layers.conv import SparseConvolution
from spikevox.layers.graph import Graph, Node
from spikevox.layers.neurons.integer import ILIF
from spikevox.layers.norm import fold_batch_norm


class MinkowskiNetwork(nn.Module):
    """Convolutions, batch normalisations, linear layers and pooling of MinkowskiEngine; I-LIF and sums on features.

    One coordinate manager an input, its keys shared by all layers. Output sites that MinkowskiEngine does not derive by
    itself are given to it ready made (``derived``): their making is not in its time.

    Args:
        graph: a recorded network, float32.
        fold: fold the batch normalisations into the convolutions.
        derived: coordinates of each set of sites of the graph for the input at hand.
    """

    def __init__(self, graph: Graph, *, fold: bool, derived: dict[int, Tensor]) -> None:
        super().__init__()
        self.engine = minkowski.load()
        self.graph = graph
        self.derived = derived
        self.steps = nn.ModuleDict()
        self.folded: set[int] = set()
        for index, node in enumerate(graph.nodes):
            module = node.module
            if isinstance(module, SparseConvolution):
                self.steps[str(index)] = self._convolution(index, node, module, fold)
            elif isinstance(module, BatchNorm) and index not in self.folded:
                norm = self.engine.MinkowskiBatchNorm(node.channels, eps=module.eps)
                norm.bn.load_state_dict(module.state_dict())
                self.steps[str(index)] = norm
            elif isinstance(module, nn.Linear):
                self.steps[str(index)] = self._linear(index, module, fold)
            elif isinstance(module, GlobalMeanPool):
                self.steps[str(index)] = self.engine.MinkowskiGlobalAvgPooling()
        self.eval()

    def _behind(self, index: int, fold: bool) -> BatchNorm | None:
        """The normalisation that is to be folded into a layer."""
        following = self.graph.nodes[index + 1] if index + 1 < len(self.graph.nodes) else None
        if fold and following is not None and isinstance(following.module, BatchNorm) and following.inputs == (index,):
            self.folded.add(index + 1)
            return following.module
        return None

    def _convolution(self, index: int, node: Node, module: SparseConvolution, fold: bool) -> nn.Module:
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
        norm = self._behind(index, fold)
        weight, bias = (
            (module.weight, module.bias) if norm is None else fold_batch_norm(module.weight, module.bias, norm)
        )
        with torch.no_grad():
            layer.kernel.copy_(weight.reshape(layer.kernel.shape))
            layer.bias.zero_() if bias is None else layer.bias.copy_(bias.reshape(layer.bias.shape))
        if bias is None:
            layer.bias = None
        return layer

    def _linear(self, index: int, module: nn.Linear, fold: bool) -> nn.Module:
        layer = self.engine.MinkowskiLinear(module.in_features, module.out_features, bias=module.bias is not None)
        norm = self._behind(index, fold)
        weight, bias = module.weight, module.bias
        if norm is not None:
            turned, bias = fold_batch_norm(weight.T, bias, norm)
            weight = turned.T
        with torch.no_grad():
            layer.linear.weight.copy_(weight)
            if bias is not None:
                layer.linear.bias.copy_(bias)
        return layer

    def _same(self, x: Any, features: Tensor) -> Any:
        return self.engine.SparseTensor(
            features, coordinate_map_key=x.coordinate_map_key, coordinate_manager=x.coordinate_manager
        )

    def forward(self, coordinates: Tensor, features: Tensor) -> list[Any]:
        """What each node gives; the last ones are the network's results."""
        values: list[Any] = [self.engine.SparseTensor(features, coordinates)]
        keys = {0: values[0].coordinate_map_key}
        for index, node in enumerate(self.graph.nodes[1:], 1):
            inputs = [values[i] for i in node.inputs]
            values.append(self._step(index, node, inputs, keys))
            if node.sites >= 0:
                keys.setdefault(node.sites, values[-1].coordinate_map_key)
        return values

    def _step(self, index: int, node: Node, inputs: list[Any], keys: dict[int, Any]) -> Any:
        x = inputs[0]
        if node.kind == "add":
            return self._same(x, x.F + inputs[1].F)
        if node.kind == "concatenate":
            return self._same(x, torch.cat([part.F for part in inputs], dim=1))
        if isinstance(node.module, ILIF):
            return self._same(x, integer_spike(x.F, node.module.levels))
        if index in self.folded:
            return x
        layer = self.steps[str(index)]
        if isinstance(node.module, SparseInverseConv3d):
            return layer(x, coordinates=keys[node.sites])
        if isinstance(node.module, SparseConv3d) and not self.graph.sites[node.sites].floor:
            if layer is node.module:
                return layer(x)
            if node.sites not in keys:
                stride = list(self.graph.sites[node.sites].tensor_stride)
                keys[node.sites], _ = x.coordinate_manager.insert_and_map(self.derived[node.sites], stride)
            return layer(x, coordinates=keys[node.sites])
        return layer(x)
