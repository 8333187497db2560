"""Kernels of spconv and ours: which number goes where.

Ours are (K, C_in, C_out), x fastest over K. spconv 2 stores (C_out, k0, k1, k2, C_in), spconv 1 (k0, k1, k2, C_in, C_out),
where k0, k1, k2 follow the columns of its indices: Pointcept's are x, y, z, OpenPCDet's z, y, x.
"""

from typing import Literal

from torch import Tensor, contiguous_format

from spikevox.layers.backends.geometry import Triple
from spikevox.layers.errors import LayerError

Axes = Literal["xyz", "zyx"]


def spconv_shape(
    kernel_size: Triple, in_channels: int, out_channels: int, *, spconv: int, axes: Axes
) -> tuple[int, ...]:
    """Shape of a kernel of spconv; ``kernel_size`` is ours, (x, y, z)."""
    sides = kernel_size if axes == "xyz" else kernel_size[::-1]
    return (out_channels, *sides, in_channels) if spconv == 2 else (*sides, in_channels, out_channels)


def kernel_from_spconv(weight: Tensor, *, spconv: int = 2, axes: Axes = "xyz") -> Tensor:
    """A kernel of spconv as ours.

    Args:
        weight: (C_out, k0, k1, k2, C_in) of spconv 2, (k0, k1, k2, C_in, C_out) of spconv 1.
        spconv: 1 or 2, the major version that stored it.
        axes: what k0, k1, k2 run along.

    Returns:
        (K, C_in, C_out), the same numbers in another order.

    Raises:
        LayerError: a weight that does not have five axes, or another version.

    Example:
        >>> import torch
        >>> kernel_from_spconv(torch.zeros(16, 3, 1, 1, 8), axes="zyx").shape
        torch.Size([3, 8, 16])
    """
    if weight.ndim != 5 or spconv not in (1, 2):
        raise LayerError(f"a kernel of spconv 1 or 2 has five axes, got {tuple(weight.shape)} of spconv {spconv}.")
    if spconv == 2 and weight.shape[1:4] == (1, 1, 1):
        # spconv 2 multiplies by the buffer of a 1x1x1 kernel read as (C_in, C_out), whatever its shape says (its issue 450).
        return weight.reshape(1, weight.shape[4], weight.shape[0]).clone(memory_format=contiguous_format)
    kernel = weight.permute(1, 2, 3, 4, 0) if spconv == 2 else weight
    if axes == "xyz":
        kernel = kernel.permute(2, 1, 0, 3, 4)
    return kernel.reshape(-1, *kernel.shape[3:]).clone(memory_format=contiguous_format)


def kernel_to_spconv(kernel: Tensor, kernel_size: Triple, *, spconv: int = 2, axes: Axes = "xyz") -> Tensor:
    """The inverse of :func:`kernel_from_spconv`, bit for bit.

    Args:
        kernel: (K, C_in, C_out).
        kernel_size: ours, (x, y, z).
        spconv: 1 or 2.
        axes: what k0, k1, k2 are to run along.

    Raises:
        LayerError: a kernel that does not have the size, or another version.
    """
    x, y, z = kernel_size
    if kernel.ndim != 3 or kernel.shape[0] != x * y * z or spconv not in (1, 2):
        raise LayerError(
            f"{tuple(kernel.shape)} is no kernel of size {kernel_size} for spconv 1 or 2 (asked for {spconv})."
        )
    channels = (kernel.shape[1], kernel.shape[2])
    if spconv == 2 and kernel_size == (1, 1, 1):
        return kernel.reshape(channels[1], 1, 1, 1, channels[0]).clone()
    result = kernel.reshape(z, y, x, *channels)
    if axes == "xyz":
        result = result.permute(2, 1, 0, 3, 4)
    return (result.permute(4, 0, 1, 2, 3) if spconv == 2 else result).clone(memory_format=contiguous_format)
