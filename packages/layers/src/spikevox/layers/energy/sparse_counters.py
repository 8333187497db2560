"""Counters of the layers of this package."""

import math

from torch import nn

from spikevox.layers.backbones.voxelnext import HeightSum
from spikevox.layers.conv import SparseConvolution
from spikevox.layers.energy.counter import Call, register_counter
from spikevox.layers.energy.counts import LayerCount
from spikevox.layers.neurons.neuron import Neuron
from spikevox.layers.neurons.rectified import ReLU
from spikevox.layers.pool import AveragePool3d, GlobalMeanPool, GlobalPool, LocalPool3d
from spikevox.layers.sparse_tensor import adopt, features_of


@register_counter(SparseConvolution)
def convolution(call: Call) -> LayerCount:
    """Pairs of the kernel map."""
    conv: SparseConvolution = call.module
    x, y = adopt(call.args[0])[0], adopt(call.output)[0]
    maps, transposed = x.maps, conv.transposed
    kernel_map = maps.kernel_map(*((y.sites, x.sites) if transposed else (x.sites, y.sites)), conv.geometry)

    def rows() -> object:
        _, in_rows, out_rows = maps.engine.pairs(kernel_map)
        return out_rows if transposed else in_rows

    fan = call.fans.of(kernel_map, transposed, rows, len(x))  # type: ignore[arg-type]
    return call.weighted(
        "convolution",
        fan,
        in_channels=conv.in_channels,
        out_channels=conv.out_channels,
        out_rows=len(y) * (x.time_steps or 1),
        weights=conv.weight.numel(),
        groups=conv.groups,
        bias=conv.bias is not None,
        mapped=conv.geometry.volume > 1,
    )


@register_counter(nn.Linear)
def linear(call: Call) -> LayerCount:
    """Each row reaches one row."""
    layer: nn.Linear = call.module
    rows = call.result.numel() // layer.out_features
    return call.weighted(
        "linear",
        1,
        in_channels=layer.in_features,
        out_channels=layer.out_features,
        out_rows=rows,
        weights=layer.weight.numel(),
        bias=layer.bias is not None,
    )


@register_counter(nn.modules.batchnorm._BatchNorm)
def normalisation(call: Call) -> LayerCount:
    """Nothing behind a layer with weights, whose weights and bias take it in; else a product and a sum a value."""
    values, channels = call.result.numel(), call.module.num_features
    if call.tag.source is None:
        return call.other("normalisation", additions=values, multiplications=values, weights=2 * channels)
    layer = call.layers[call.tag.source]
    if layer.bias:
        return call.other("normalisation", folded=True)
    # Its shift becomes the bias of a layer that has none.
    return call.other("normalisation", folded=True, additions=values, weights=channels)


@register_counter(Neuron)
def neuron(call: Call) -> LayerCount:
    """A membrane a value."""
    layer: Neuron = call.module
    steps = layer.time_steps or getattr(call.args[0], "time_steps", None) or 1
    return call.neuron(layer.levels, keeps_state=layer.memory is not None or steps > 1)


@register_counter(ReLU, nn.ReLU, nn.ReLU6, nn.LeakyReLU)
def rectifier(call: Call) -> LayerCount:
    """A comparison a value; the output is real."""
    return call.neuron(0, kind="rectifier")


@register_counter(LocalPool3d)
def local_pool(call: Call) -> LayerCount:
    """A comparison or addition for each value under a kernel; a mean divides."""
    x, y = adopt(call.args[0])[0], adopt(call.output)[0]
    kernel_map = x.maps.kernel_map(x.sites, y.sites, call.module.geometry)
    steps, channels = x.time_steps or 1, x.features.shape[-1]
    fan = call.fans.of(kernel_map, False, lambda: x.maps.engine.pairs(kernel_map)[1], len(x))
    mean = isinstance(call.module, AveragePool3d)
    call.emitted = 0 if mean else call.depth
    pairs = steps * int(fan.sum())
    return call.other(
        "pool",
        pairs=pairs,
        map_entries=pairs,
        in_channels=channels,
        out_channels=channels,
        in_rows=steps * len(x),
        out_rows=steps * len(y),
        additions=pairs * channels,
        multiplications=y.features.numel() if mean else 0,
    )


@register_counter(GlobalPool)
def global_pool(call: Call) -> LayerCount:
    """A comparison or addition for each value; a mean divides."""
    mean = isinstance(call.module, GlobalMeanPool)
    call.emitted = 0 if mean else call.depth
    channels = call.input.shape[-1]
    return call.other(
        "pool",
        in_channels=channels,
        out_channels=channels,
        in_rows=math.prod(call.input.shape[:-1]),
        out_rows=math.prod(call.result.shape[:-1]),
        additions=call.input.numel(),
        multiplications=call.result.numel() if mean else 0,
    )


@register_counter(HeightSum)
def height_sum(call: Call) -> LayerCount:
    """An addition for each value that goes into a sum."""
    return call.other("sum", additions=sum(features_of(x).numel() for x in call.args[0]))
