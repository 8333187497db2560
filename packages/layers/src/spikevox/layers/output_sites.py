"""Output sites of a convolution: which ones it has, and a box around them that the host knows without asking."""

from functools import reduce
from operator import and_
from typing import NamedTuple

import torch
from torch import Tensor

from spikevox.layers.backends.geometry import KernelGeometry, Triple
from spikevox.layers.backends.site_table import Box, KeyPacking


class _Axis(NamedTuple):
    """Candidates along one axis: their position, which of them are output sites (``None``: all), and their range."""

    position: Tensor
    fits: Tensor | None
    lower: int
    upper: int


def output_steps(
    coordinates: Tensor,
    box: Box,
    tensor_stride: Triple,
    geometry: KernelGeometry,
    *,
    floor: bool,
    extent: Triple | None,
) -> tuple[Tensor, Box]:
    """Output sites in units of their own tensor stride.

    Args:
        coordinates: (N, 4) of the input sites, at least one.
        box: holds them.
        tensor_stride: of the input.
        geometry: of the convolution.
        floor: an input has the one output ``floor(i / stride)``; else every ``o`` with ``o * stride + offset = i``.
        extent: number of input sites along x, y, z; outputs that a dense convolution over ``[0, extent)`` would not
            have are left out.

    Returns:
        (N_out, 4) int64, unique and ascending, and a box that holds them.

    Raises:
        CoordinateRangeError: a box too large to be addressed.
    """
    axes = []
    count = None if extent is None else dense_extent(geometry, extent)
    for axis in range(3):
        scale = tensor_stride[axis]
        index = torch.div(coordinates[:, axis + 1].to(torch.int64), scale, rounding_mode="floor")
        known = _Axis(index, None, box.lower[axis + 1] // scale, box.upper[axis + 1] // scale)
        found = _floored(known, geometry.stride[axis]) if floor else _covered(known, geometry, axis)
        axes.append(found if count is None else _clipped(found, count[axis]))
    outputs = Box((box.lower[0], *(a.lower for a in axes)), (box.upper[0], *(a.upper for a in axes)))
    packing = KeyPacking(outputs)
    keys = packing.pack([coordinates[:, 0], *(a.position for a in axes)])
    masks = [axis.fits for axis in axes if axis.fits is not None]
    if masks:
        keys = keys[reduce(and_, masks).expand(keys.shape)]
    return packing.unpack(torch.unique(keys)), outputs


def _floored(inputs: _Axis, stride: int) -> _Axis:
    index = torch.div(inputs.position, stride, rounding_mode="floor")
    return _Axis(index, None, inputs.lower // stride, inputs.upper // stride)


def _covered(inputs: _Axis, geometry: KernelGeometry, axis: int) -> _Axis:
    """One candidate a kernel offset, along a dimension of its own: z, y, x and the sites last."""
    kernel, stride = geometry.kernel_size[axis], geometry.stride[axis]
    padding, dilation = geometry.padding[axis], geometry.dilation[axis]
    shape = [1, 1, 1, 1]
    shape[2 - axis] = kernel
    offsets = torch.arange(kernel, device=inputs.position.device).view(shape) * dilation - padding
    moved = inputs.position - offsets
    lower = -((dilation * (kernel - 1) - padding - inputs.lower) // stride)
    upper = max(lower, (inputs.upper + padding) // stride)
    if stride == 1:
        return _Axis(moved, None, lower, upper)
    return _Axis(torch.div(moved, stride, rounding_mode="floor"), moved % stride == 0, lower, upper)


def dense_extent(geometry: KernelGeometry, extent: Triple) -> Triple:
    """Number of sites along x, y, z that a dense convolution makes of ``extent``; none below 0."""
    x, y, z = (
        max(0, (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1)
        for size, kernel, stride, padding, dilation in zip(extent, *geometry, strict=True)
    )
    return x, y, z


def _clipped(outputs: _Axis, count: int) -> _Axis:
    fits = (outputs.position >= 0) & (outputs.position < count)
    lower = max(outputs.lower, 0)
    upper = max(lower, min(outputs.upper, count - 1))
    return _Axis(outputs.position, fits if outputs.fits is None else outputs.fits & fits, lower, upper)
