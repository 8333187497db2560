"""The spiking backbone of E-3DSNN's KITTI detector: three stages down by 2, then one in height."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import nn

from spikevox.layers.backbones.backbone import Backbone
from spikevox.layers.backends.geometry import triple
from spikevox.layers.blocks import BasicBlock, Down
from spikevox.layers.conv import SparseConv3d
from spikevox.layers.errors import LayerError
from spikevox.layers.stem import SpikeVoxelStem


class Voxel8xSize(NamedTuple):
    """Channels of the stem, the three stages and the output; blocks a stage."""

    stem: int
    stages: tuple[int, int, int]
    out: int
    blocks: int


VOXEL8X_SIZES = {
    "base": Voxel8xSize(16, (32, 64, 64), 128, 2),
    "small": Voxel8xSize(16, (32, 32, 64), 64, 1),
}


class Voxel8xOutput(NamedTuple):
    """What the backbone gives.

    Attributes:
        spikes: (N', out_channels) at 8 times the tensor stride in x and y, 16 times in z.
        membranes: of the three stages at 2, 4 and 8 times the tensor stride, for heads that pool them.
    """

    spikes: Any
    membranes: tuple[Any, Any, Any]


class Voxel8x(Backbone):
    """Spiking form of the 3D backbone of Voxel R-CNN (E-3DSNN, section 2.3; published code: k3 s2 p1 down-sampling).

    Args:
        in_channels: columns of the voxel features.
        size: ``"base"``, the published one (1,722,368 parameters with 4 inputs), or ``"small"``, for CPUs.
        grid: sites of the input along x, y, z; KITTI has (1408, 1600, 41). Output sites that a dense convolution over
            this grid would not have are left out. By default the grid has no bounds.
        **options: see :class:`Backbone`.

    Attributes:
        out_channels: C of the spikes.
        stage_channels: C of the three membranes.
        out_shape: sites of the output along x, y, z; ``None`` where the grid has no bounds.

    Raises:
        LayerError: an unknown size or neuron.

    Example:
        >>> sum(p.numel() for p in Voxel8x(4).parameters())
        1722368
    """

    def __init__(
        self,
        in_channels: int,
        *,
        size: str = "base",
        grid: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if size not in VOXEL8X_SIZES:
            raise LayerError(f"unknown Voxel8x size {size!r}; there are {', '.join(VOXEL8X_SIZES)}.")
        shape = VOXEL8X_SIZES[size]
        parts = self.parts
        self.size = size
        self.in_channels = in_channels
        self.out_channels = shape.out
        self.stage_channels = shape.stages
        self.stem = SpikeVoxelStem(in_channels, shape.stem, parts=parts)
        self.entry = parts.spiking_conv(shape.stem, shape.stem)
        extent = None if grid is None else triple(grid, "grid")
        stages = []
        previous = shape.stem
        for current in shape.stages:
            down = Down(previous, current, kernel_size=3, stride=2, extent=extent, parts=parts)
            stages.append(nn.Sequential(down, *(BasicBlock(current, parts=parts) for _ in range(shape.blocks))))
            previous = current
            extent = None if extent is None else tuple((e - 1) // 2 + 1 for e in extent)  # type: ignore[assignment]
        self.stages = nn.ModuleList(stages)
        self.out_shape: tuple[int, int, int] | None = None
        if extent is not None:
            self.out_shape = (extent[0], extent[1], (extent[2] - 3) // 2 + 1)
            if extent[2] < 3:
                raise LayerError(f"the last convolution needs 3 sites in height; a grid of {grid} leaves {extent[2]}.")
        self.out = nn.Sequential(
            SparseConv3d(
                previous, shape.out, kernel_size=(1, 1, 3), stride=(1, 1, 2), padding=(0, 0, 0), extent=extent
            ),
            parts.make_norm(shape.out),
            parts.make_neuron(),
        )

    def forward(self, x: Any) -> Voxel8xOutput:
        """Features (N, in_channels) to spikes and the membranes of the stages."""
        x = self.entry(self.stem(x))
        membranes = []
        for stage in self.stages:
            x = stage(x)
            membranes.append(x)
        return Voxel8xOutput(self.out(x), tuple(membranes))
