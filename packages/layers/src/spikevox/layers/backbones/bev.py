"""The spiking 2D backbone of E-3DSNN's KITTI detector: a map seen from above at two resolutions, joined again."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spikevox.layers.backbones.backbone import Backbone
from spikevox.layers.blocks import Parts
from spikevox.layers.errors import LayerError
from spikevox.layers.sparse_tensor import adopt


class BevSize(NamedTuple):
    """Channels of the fine and the coarse block, convolutions behind the first one in each, channels that each is brought to."""

    blocks: tuple[int, int]
    repeats: int
    up: int


BEV_SIZES = {
    "base": BevSize((64, 128), 5, 128),
    "small": BevSize((32, 64), 2, 64),
}


def merge_heights(x: Any, shape: Sequence[int]) -> Tensor:
    """A dense map from above: the heights of a place become channels, as in SECOND (Sensors 2018).

    Args:
        x: sparse tensor of C channels without a time axis, its sites counted from 0.
        shape: number of sites along x, y, z.

    Returns:
        (B, C Z, Y, X); the heights of a channel lie side by side. 0 where no site is.

    Raises:
        LayerError: a tensor with a time axis.
        SparseTensorError: sites outside ``shape``.
    """
    tensor = adopt(x)[0]
    if tensor.time_steps is not None:
        raise LayerError(f"a map from above is made of one time step, got {tensor!r}.")
    dense = tensor.dense(lower=(0, 0, 0), shape=shape)
    return dense.permute(0, 1, 4, 3, 2).flatten(1, 2)


class _Unit(nn.Module):
    """Neuron, 2D convolution, normalisation: membrane to membrane."""

    def __init__(self, neuron: nn.Module | None, conv: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.neuron = neuron
        self.conv = conv
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x if self.neuron is None else self.neuron(x))
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


class BevBackbone(Backbone):
    """Spiking form of the 2D backbone of Voxel R-CNN and SECOND (E-3DSNN, section 2.3 of its published code).

    ``fine = [Conv BN, r x (SN Conv BN)](spikes);  coarse = [SN Conv(stride 2) BN, r x (SN Conv BN)](fine)``
    ``output = [BN(ConvT1(SN(fine))) ; BN(ConvT2(SN(coarse)))]``

    The published code has a neuron before the first convolution too. What comes in are spikes, which that neuron leaves as they
    are; it would only stop the gradient of those that are 0 or D.

    Args:
        in_channels: C of the map of spikes, see :func:`merge_heights`.
        size: ``"base"``, the published one (1,219,328 parameters with 256 inputs), or ``"small"``, for CPUs.
        **options: see :class:`Backbone`.

    Attributes:
        out_channels: C of the output.

    Raises:
        LayerError: an unknown size or neuron.

    Example:
        >>> sum(p.numel() for p in BevBackbone(256).parameters())
        1219328
    """

    def __init__(self, in_channels: int, *, size: str = "base", **options: Any) -> None:
        super().__init__(**options)
        if size not in BEV_SIZES:
            raise LayerError(f"unknown BevBackbone size {size!r}; there are {', '.join(BEV_SIZES)}.")
        shape = BEV_SIZES[size]
        first, second = shape.blocks
        parts = self.parts
        self.size = size
        self.in_channels = in_channels
        self.out_channels = 2 * shape.up
        self.fine = nn.Sequential(
            _Unit(None, _conv(in_channels, first), parts.make_norm(first)), *_repeats(first, shape.repeats, parts)
        )
        self.coarse = nn.Sequential(
            _Unit(parts.make_neuron(), _conv(first, second, stride=2), parts.make_norm(second)),
            *_repeats(second, shape.repeats, parts),
        )
        self.up = nn.ModuleList(
            _Unit(
                parts.make_neuron(),
                nn.ConvTranspose2d(channels, shape.up, stride, stride=stride, bias=False),
                parts.make_norm(shape.up),
            )
            for channels, stride in ((first, 1), (second, 2))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Spikes (B, in_channels, Y, X) to a membrane (B, out_channels, Y, X)."""
        fine = self.fine(x)
        up = [layer(part) for layer, part in zip(self.up, (fine, self.coarse(fine)), strict=True)]
        # Half of an odd number of cells is rounded up: the coarse map comes back one cell too large.
        return torch.cat([part[..., : x.shape[-2], : x.shape[-1]] for part in up], dim=1)


def _conv(in_channels: int, out_channels: int, *, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)


def _repeats(channels: int, count: int, parts: Parts) -> list[_Unit]:
    return [_Unit(parts.make_neuron(), _conv(channels, channels), parts.make_norm(channels)) for _ in range(count)]
