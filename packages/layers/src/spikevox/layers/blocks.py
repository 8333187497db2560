"""Blocks with shortcuts between membranes: every convolution after the first reads spikes (E-3DSNN)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from spikevox.layers.conv import Extent, SparseConv3d, SparseInverseConv3d, SubmanifoldConv3d
from spikevox.layers.joining import concatenate
from spikevox.layers.linear import Linear
from spikevox.layers.neurons.registry import build_neuron
from spikevox.layers.norm import BatchNorm
from spikevox.layers.spiking_unit import SpikingSequential, spiking_conv


@dataclass(frozen=True)
class Parts:
    """What the blocks of a network are made of.

    Attributes:
        neuron: a name of ``NEURONS``, or anything that makes a neuron when called.
        neuron_options: passed to it.
        norm: makes a normalisation of C channels.
        norm_options: passed to it.
    """

    neuron: str | Callable[..., nn.Module] = "ilif"
    neuron_options: dict[str, Any] = field(default_factory=dict)
    norm: Callable[..., nn.Module] = BatchNorm
    norm_options: dict[str, Any] = field(default_factory=dict)

    def make_neuron(self) -> nn.Module:
        """A fresh neuron layer."""
        return build_neuron(self.neuron, **self.neuron_options)

    def make_norm(self, channels: int, **options: Any) -> nn.Module:
        """A fresh normalisation; options come before those of all."""
        return self.norm(channels, **{**self.norm_options, **options})

    def spiking_conv(self, in_channels: int, out_channels: int, *, bias: bool = False) -> SpikingSequential:
        """Neuron, submanifold 3x3x3 convolution, normalisation: membrane to membrane."""
        conv = SubmanifoldConv3d(in_channels, out_channels, kernel_size=3, bias=bias)
        return SpikingSequential(self.make_neuron(), conv, self.make_norm(out_channels))


class BasicBlock(nn.Module):
    """Residual block on membranes.

    ``f = BN(SSC(SN(x))) + x;  y = BN(SSC(SN(BN(SSC(SN(f)))))) + f``

    Args:
        channels: C of input and output.
        parts: neuron and normalisation.
    """

    def __init__(self, channels: int, *, parts: Parts | None = None) -> None:
        super().__init__()
        parts = parts or Parts()
        self.first = parts.spiking_conv(channels, channels)
        self.second = SpikingSequential(
            *parts.spiking_conv(channels, channels), *parts.spiking_conv(channels, channels)
        )

    def forward(self, x: Any) -> Any:
        """Membrane (N, C) to membrane (N, C) on the same sites."""
        x = self.first(x, x)
        return self.second(x, x)


class ResidualBlock(nn.Module):
    """Residual block of two convolutions on membranes: ``y = BN(SSC(SN(BN(SSC(SN(x)))))) + x``.

    Args:
        channels: C of input and output.
        bias: of the convolutions. The normalisation behind takes it away again: it is there for weights that have one.
        parts: neuron and normalisation.
    """

    def __init__(self, channels: int, *, bias: bool = False, parts: Parts | None = None) -> None:
        super().__init__()
        parts = parts or Parts()
        self.layers = SpikingSequential(
            *parts.spiking_conv(channels, channels, bias=bias), *parts.spiking_conv(channels, channels, bias=bias)
        )

    def forward(self, x: Any) -> Any:
        """Membrane (N, C) to membrane (N, C) on the same sites."""
        return self.layers(x, x)


class Down(nn.Module):
    """Down-sampling without shortcut: ``BN(SparseConv(SN(x)))``.

    Args:
        in_channels: C of the input.
        out_channels: C of the output.
        kernel_size: of the convolution.
        stride: of the convolution.
        extent: of the input's grid, see :class:`SparseConv3d`.
        parts: neuron and normalisation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 2,
        stride: int = 2,
        extent: Extent = None,
        parts: Parts | None = None,
    ) -> None:
        super().__init__()
        parts = parts or Parts()
        self.neuron = parts.make_neuron()
        self.conv = SparseConv3d(in_channels, out_channels, kernel_size=kernel_size, stride=stride, extent=extent)
        self.norm = parts.make_norm(out_channels)

    def forward(self, x: Any) -> Any:
        """Membrane to membrane on the coarser sites."""
        return spiking_conv(x, self.neuron, self.conv, self.norm)


class Up(nn.Module):
    """Up-sampling that joins a skip: ``u = BN(InvConv(SN(x)));  u + Fuse([u ; skip])``.

    ``Fuse = SN Lin BN SN Lin BN``, with bias.

    Args:
        in_channels: C of the coarse input.
        skip_channels: C of the skip.
        out_channels: C of the output.
        kernel_size: of the partner convolution.
        stride: of the partner convolution.
        parts: neuron and normalisation.
    """

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 2,
        stride: int = 2,
        parts: Parts | None = None,
    ) -> None:
        super().__init__()
        parts = parts or Parts()
        self.neuron = parts.make_neuron()
        self.conv = SparseInverseConv3d(in_channels, out_channels, kernel_size=kernel_size, stride=stride)
        self.norm = parts.make_norm(out_channels)
        self.fuse = nn.Sequential(
            parts.make_neuron(),
            Linear(out_channels + skip_channels, out_channels),
            parts.make_norm(out_channels),
            parts.make_neuron(),
            Linear(out_channels, out_channels),
            parts.make_norm(out_channels),
        )

    def forward(self, x: Any, skip: Any) -> Any:
        """Membranes on the coarse sites and on the skip's sites to a membrane on the skip's sites."""
        up = spiking_conv(x, self.neuron, self.conv, self.norm, skip)
        return up + self.fuse(concatenate(up, skip))
