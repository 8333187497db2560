"""The spiking backbone of E-3DSNN's nuScenes detector: six resolutions, three summed on one plane (VoxelNeXt, CVPR 2023)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import nn

from spikevox.layers.backbones.backbone import Backbone
from spikevox.layers.backends.geometry import Triple, triple
from spikevox.layers.blocks import Down, Parts, ResidualBlock
from spikevox.layers.conv import SparseConv3d, SubmanifoldConv3d
from spikevox.layers.errors import LayerError
from spikevox.layers.sparse_tensor import SparseTensor, adopt
from spikevox.layers.spiking_unit import SpikingSequential


class VoxelNeXtSize(NamedTuple):
    """Channels at full resolution and of the five stages, the last three of them equal; blocks at each resolution; biases."""

    stem: int
    stages: tuple[int, int, int, int, int]
    blocks: int
    bias: bool


VOXELNEXT_SIZES = {
    "base": VoxelNeXtSize(16, (32, 64, 128, 128, 128), 2, True),
    "small": VoxelNeXtSize(16, (32, 32, 64, 64, 64), 1, False),
}


class HeightSum(nn.Module):
    """Membranes of several resolutions on one plane: those of all heights and of all tensors at a place are summed.

    A site of a coarser tensor stands at its own coordinates, on the finer tensor's plane: there is one site of the finer stride
    for it, not the whole area that it covers.
    """

    def forward(self, tensors: Sequence[Any]) -> SparseTensor:
        """Sums at z = 0.

        Args:
            tensors: sparse tensors of C channels without a time axis, the finest first; strides of the others are multiples of
                its own.

        Raises:
            LayerError: tensors of other channels or strides, or with a time axis.
        """
        found = [adopt(tensor)[0] for tensor in tensors]
        first = found[0]
        for one in found:
            strides = zip(one.tensor_stride[:2], first.tensor_stride[:2], strict=True)
            fits = one.time_steps is None and not any(coarse % fine for coarse, fine in strides)
            if not fits or one.features.shape[-1] != first.features.shape[-1]:
                raise LayerError(f"heights of {first!r} and {one!r} cannot be summed on one plane.")
        rows = torch.cat([one.coordinates for one in found])
        rows[:, 3] = 0
        return SparseTensor(
            torch.cat([one.features for one in found]),
            rows,
            batch_size=first.batch_size,
            tensor_stride=first.tensor_stride,
            backend=first.backend,
            on_duplicate="sum",
        )


class _Volume(nn.Module):
    """The 3D part: voxels to the membranes at the three coarsest strides."""

    def __init__(self, in_channels: int, shape: VoxelNeXtSize, extent: Triple | None, parts: Parts) -> None:
        super().__init__()
        self.stem = SpikingSequential(
            SubmanifoldConv3d(in_channels, shape.stem, kernel_size=3), parts.make_norm(shape.stem)
        )
        self.entry = nn.Sequential(
            *(ResidualBlock(shape.stem, bias=shape.bias, parts=parts) for _ in range(shape.blocks))
        )
        stages = []
        for previous, current in pairwise((shape.stem, *shape.stages)):
            down = Down(previous, current, kernel_size=3, stride=2, extent=extent, parts=parts)
            blocks = (ResidualBlock(current, bias=shape.bias, parts=parts) for _ in range(shape.blocks))
            stages.append(nn.Sequential(down, *blocks))
            extent = None if extent is None else _halved(extent)
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Any) -> tuple[Any, ...]:
        x = self.entry(self.stem(x))
        membranes = []
        for stage in self.stages:
            x = stage(x)
            membranes.append(x)
        return tuple(membranes[2:])


class VoxelNeXtBackbone(Backbone):
    """Spiking form of the backbone of VoxelNeXt (E-3DSNN, section 2.4 of its published code: residual blocks, I-LIF).

    ``volume``, voxels to the membranes at 8, 16 and 32 times their stride, and ``plane``, two convolutions on the sum of these
    over all heights, can be run event by event, each by itself: ``event.compile(network.volume)`` and, with such a sum for an
    example, ``event.compile(network.plane, example=flat)``. The whole cannot: ``merge`` between them is no layer of the engine.

    Args:
        in_channels: columns of the voxel features.
        size: ``"base"``, the published one (7,368,720 parameters with 5 inputs), or ``"small"``, for CPUs (one block at each
            resolution, at most 64 channels, no biases before normalisations: 1,183,696).
        grid: sites of the input along x, y, z; nuScenes has (1440, 1440, 41). Output sites that a dense convolution over this
            grid would not have are left out. By default the grid has no bounds.
        **options: see :class:`Backbone`.

    Attributes:
        out_channels: C of the output.
        stride: of the output along x and y, in sites of the input.
        out_shape: sites of the output along x and y; ``None`` where the grid has no bounds.

    Raises:
        LayerError: an unknown size or neuron.

    Example:
        >>> sum(p.numel() for p in VoxelNeXtBackbone(5).parameters())
        7368720
    """

    stride = 8

    def __init__(
        self, in_channels: int, *, size: str = "base", grid: Sequence[int] | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        if size not in VOXELNEXT_SIZES:
            raise LayerError(f"unknown VoxelNeXt size {size!r}; there are {', '.join(VOXELNEXT_SIZES)}.")
        shape = VOXELNEXT_SIZES[size]
        extent = None if grid is None else triple(grid, "grid")
        self.size = size
        self.in_channels = in_channels
        self.out_channels = channels = shape.stages[-1]
        self.volume = _Volume(in_channels, shape, extent, self.parts)
        self.merge = HeightSum()
        for _ in range(3):
            extent = None if extent is None else _halved(extent)
        self.out_shape: tuple[int, int] | None = None if extent is None else extent[:2]
        flat = (3, 3, 1)
        self.plane = SpikingSequential(
            self.parts.make_neuron(),
            SparseConv3d(channels, channels, kernel_size=flat, extent=None if extent is None else (*extent[:2], 1)),
            self.parts.make_norm(channels),
            self.parts.make_neuron(),
            SubmanifoldConv3d(channels, channels, kernel_size=flat, bias=shape.bias),
            # The published one has torch's default here, and 1e-3 before.
            self.parts.make_norm(channels, eps=1e-5),
        )

    def forward(self, x: Any) -> SparseTensor:
        """Features (N, in_channels) to a membrane (N', out_channels) on a plane of 8 times the tensor stride, at z = 0."""
        result: SparseTensor = self.plane(self.merge(self.volume(x)))
        return result


def _halved(extent: Triple) -> Triple:
    x, y, z = ((size - 1) // 2 + 1 for size in extent)
    return x, y, z
