"""Counters of MinkowskiEngine's layers. Its other modules wrap torch's, which have counters of their own."""

from typing import Any

import torch
from torch import Tensor

from spikevox.layers.energy.counter import Call, register_counter
from spikevox.layers.energy.counts import LayerCount


def _input_rows(call: Call, *, pool: bool = False) -> Tensor:
    """The input row of each pair of a call."""
    x, y, generator = call.args[0], call.output, call.module.kernel_generator
    if generator.kernel_volume == 1 and not generator.requires_strided_coordinates:
        return torch.arange(len(x.F))
    found = x.coordinate_manager.kernel_map(
        x.coordinate_map_key,
        y.coordinate_map_key,
        generator.kernel_stride,
        generator.kernel_size,
        generator.kernel_dilation,
        region_type=generator.region_type,
        region_offset=generator.region_offsets,
        is_transpose=bool(getattr(call.module, "is_transpose", False)),
        is_pool=pool,
    )
    return torch.cat([rows[0].to(torch.int64) for rows in found.values()])


@register_counter(
    "MinkowskiConvolution.MinkowskiConvolutionBase", "MinkowskiChannelwiseConvolution.MinkowskiChannelwiseConvolution"
)
def minkowski_convolution(call: Call) -> LayerCount:
    """Pairs of the kernel map of its coordinate manager."""
    conv: Any = call.module
    fan = torch.bincount(_input_rows(call), minlength=len(call.input))
    channelwise = not hasattr(conv, "out_channels")
    out_channels = conv.in_channels if channelwise else conv.out_channels
    return call.weighted(
        "convolution",
        fan,
        in_channels=conv.in_channels,
        out_channels=out_channels,
        out_rows=len(call.result),
        weights=conv.kernel.numel(),
        groups=conv.in_channels if channelwise else 1,
        bias=conv.bias is not None,
        mapped=conv.kernel_generator.kernel_volume > 1,
    )


@register_counter("MinkowskiPooling.MinkowskiPoolingBase")
def minkowski_pool(call: Call) -> LayerCount:
    """A comparison or addition for each value under a kernel; a mean divides."""
    mean = "Avg" in type(call.module).__name__
    call.emitted = call.depth if "Max" in type(call.module).__name__ else 0
    channels = call.input.shape[-1]
    pairs = len(_input_rows(call, pool=True))
    return call.other(
        "pool",
        pairs=pairs,
        map_entries=pairs,
        in_channels=channels,
        out_channels=channels,
        in_rows=len(call.input),
        out_rows=len(call.result),
        additions=pairs * channels,
        multiplications=call.result.numel() if mean else 0,
    )


@register_counter("MinkowskiPooling.MinkowskiGlobalPooling")
def minkowski_global_pool(call: Call) -> LayerCount:
    """A comparison or addition for each value; a mean divides."""
    mean = "Avg" in type(call.module).__name__ or "AVG" in str(getattr(call.module, "pooling_mode", ""))
    channels = call.input.shape[-1]
    return call.other(
        "pool",
        in_channels=channels,
        out_channels=channels,
        in_rows=len(call.input),
        out_rows=len(call.result),
        additions=call.input.numel(),
        multiplications=call.result.numel() if mean else 0,
    )
