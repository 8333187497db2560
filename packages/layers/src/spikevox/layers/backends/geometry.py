"""Geometry of a sparse convolution: which input sites an output site takes."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

from spikevox.layers.errors import LayerError

Triple = tuple[int, int, int]


def triple(value: int | Sequence[int], name: str, *, least: int = 1) -> Triple:
    """One whole number, or three along x, y, z, as three.

    Raises:
        LayerError: not whole, not one or three, or below ``least``.
    """
    values = (value,) * 3 if isinstance(value, int) else tuple(value)
    if len(values) != 3 or not all(isinstance(v, int) and v >= least for v in values):
        raise LayerError(f"{name} must be one whole number or three (x, y, z), each at least {least}, got {value!r}.")
    return values


class KernelGeometry(NamedTuple):
    """Output ``o`` takes input ``i = o * stride - padding + j * dilation`` for ``j = 0 .. kernel_size - 1``.

    All are (x, y, z), in units of the input's tensor stride.
    """

    kernel_size: Triple
    stride: Triple
    padding: Triple
    dilation: Triple

    @property
    def volume(self) -> int:
        """Number of kernel offsets, K."""
        return self.kernel_size[0] * self.kernel_size[1] * self.kernel_size[2]

    @property
    def offsets(self) -> list[Triple]:
        """``j * dilation - padding`` of each of the K kernel offsets, the first axis fastest."""
        axes = [
            [j * d - p for j in range(k)] for k, p, d in zip(self.kernel_size, self.padding, self.dilation, strict=True)
        ]
        return [(x, y, z) for z, y, x in product(axes[2], axes[1], axes[0])]

    @property
    def tiles(self) -> bool:
        """True where the kernels of neighbouring outputs touch without overlap: each input has one output."""
        return self.kernel_size == self.stride and self.padding == (0, 0, 0) and self.dilation == (1, 1, 1)


def default_padding(kernel_size: Triple, dilation: Triple) -> Triple:
    """``dilation * (k // 2)`` along an odd axis, which centres the kernel; 0 along an even one."""
    x, y, z = (d * (k // 2) if k % 2 else 0 for k, d in zip(kernel_size, dilation, strict=True))
    return x, y, z
