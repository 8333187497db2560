"""Counters of torch's dense layers: the two-dimensional parts of detectors, and other people's networks."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from spikevox.layers.energy.counter import Call, register_counter
from spikevox.layers.energy.counts import LayerCount

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@register_counter(*_CONVOLUTIONS)
def dense_convolution(call: Call) -> LayerCount:
    """Every pixel, those that are 0 included; pairs at the border are those that lie inside."""
    conv: Any = call.module
    x = call.input
    transposed = isinstance(conv, nn.modules.conv._ConvTransposeNd)
    places = x.shape[2:] if x.ndim == 2 + len(conv.kernel_size) else x.shape[1:]
    outputs = call.result.shape[-len(places) :]
    axes = [_fan(transposed, *axis) for axis in zip(places, outputs, conv.kernel_size, conv.stride, conv.padding,
                                                    conv.dilation, strict=True)]  # fmt: skip
    fan = axes[0]
    for axis in axes[1:]:
        fan = (fan[:, None] * axis).flatten()
    # Pixels as rows: (B, C, ...) becomes (B, pixels, C).
    rows = x.reshape(-1, conv.in_channels, math.prod(places)).transpose(1, 2)
    return call.weighted(
        "convolution",
        fan,
        in_channels=conv.in_channels,
        out_channels=conv.out_channels,
        out_rows=call.result.numel() // conv.out_channels,
        weights=conv.weight.numel(),
        groups=conv.groups,
        bias=conv.bias is not None,
        rows=rows,
    )


def _fan(transposed: bool, size: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int) -> Tensor:
    """(size,) outputs that each input reaches along one axis."""
    offsets = torch.arange(kernel) * dilation - padding
    inputs = torch.arange(size)[:, None]
    if transposed:
        reached = inputs * stride + offsets
        return ((reached >= 0) & (reached < outputs)).sum(dim=1)
    # o * stride + offset = i
    moved = inputs - offsets
    reached = torch.div(moved, stride, rounding_mode="floor")
    return ((moved % stride == 0) & (reached >= 0) & (reached < outputs)).sum(dim=1)


@register_counter(nn.modules.pooling._MaxPoolNd, nn.modules.pooling._AvgPoolNd)
def dense_pool(call: Call) -> LayerCount:
    """A comparison or addition for each value under a kernel; a mean divides."""
    mean = isinstance(call.module, nn.modules.pooling._AvgPoolNd)
    call.emitted = 0 if mean else call.depth
    size, dimensions = call.module.kernel_size, int(type(call.module).__name__[-2])
    kernel = size**dimensions if isinstance(size, int) else math.prod(size)
    count = call.result.numel()
    return call.other("pool", additions=kernel * count, multiplications=count if mean else 0)


@register_counter(nn.modules.pooling._AdaptiveAvgPoolNd, nn.modules.pooling._AdaptiveMaxPoolNd)
def adaptive_pool(call: Call) -> LayerCount:
    """A comparison or addition for each value; a mean divides."""
    mean = isinstance(call.module, nn.modules.pooling._AdaptiveAvgPoolNd)
    call.emitted = 0 if mean else call.depth
    return call.other("pool", additions=call.input.numel(), multiplications=call.result.numel() if mean else 0)
