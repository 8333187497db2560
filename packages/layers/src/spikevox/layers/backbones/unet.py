"""E-3DSNN's U-Net for segmentation, and a small one for CPUs."""

from itertools import pairwise
from typing import Any, NamedTuple

from torch import nn

from spikevox.layers.backbones.backbone import Backbone
from spikevox.layers.blocks import BasicBlock, Down, Up
from spikevox.layers.conv import Extent, checked_extent
from spikevox.layers.errors import LayerError
from spikevox.layers.output_sites import dense_extent
from spikevox.layers.stem import SpikeVoxelStem


class UNetSize(NamedTuple):
    """Channels of the stem, the encoder's stages and the decoder's stages from coarse to fine; blocks a stage."""

    stem: int
    encoder: tuple[int, ...]
    decoder: tuple[int, ...]
    blocks: int


UNET_SIZES = {
    "base": UNetSize(64, (64, 128, 128, 256), (256, 256, 256, 256), 2),
    "small": UNetSize(16, (32, 64, 64, 64), (64, 64, 64, 64), 1),
}


class UNet(Backbone):
    """Stem, four stages down by 2, four up, each up joined with the membrane of the way down (E-3DSNN, section 2.2).

    Args:
        in_channels: columns of the voxel features.
        size: ``"base"``, the published one (20,049,683 parameters with 4 inputs and a 19-class linear head), or
            ``"small"`` (about a fifteenth of that, for CPUs).
        grid: sites of the input along x, y, z; coarse sites that dense convolutions over this grid would not have are
            left out: on an odd extent the last layer of voxels. ``"input"``: the grid that the batch spans from zero on,
            for weights of the published code, which was trained so. By default the grid has no bounds.
        **options: see :class:`Backbone`.

    Attributes:
        out_channels: C of the output.

    Raises:
        LayerError: an unknown size or neuron.

    Example:
        >>> sum(p.numel() for p in UNet(4).parameters()) + 257 * 19
        20049683
    """

    def __init__(
        self,
        in_channels: int,
        *,
        size: str = "base",
        grid: Extent = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if size not in UNET_SIZES:
            raise LayerError(f"unknown U-Net size {size!r}; there are {', '.join(UNET_SIZES)}.")
        shape = UNET_SIZES[size]
        parts = self.parts
        self.size = size
        self.in_channels = in_channels
        self.out_channels = shape.decoder[-1]
        self.stem = SpikeVoxelStem(in_channels, shape.stem, parts=parts)
        extent = checked_extent(grid, "grid")
        stages = []
        for previous, current in pairwise((shape.stem, *shape.encoder)):
            down = Down(previous, current, extent=extent, parts=parts)
            stages.append(nn.Sequential(down, *(BasicBlock(current, parts=parts) for _ in range(shape.blocks))))
            if extent is not None and extent != "input":
                extent = dense_extent(down.conv.geometry, extent)
        self.down = nn.ModuleList(stages)
        skips = (*shape.encoder[-2::-1], shape.stem)
        inputs = (shape.encoder[-1], *shape.decoder)
        self.up = nn.ModuleList(
            Up(coarse, skip, fine, parts=parts)
            for coarse, skip, fine in zip(inputs, skips, shape.decoder, strict=False)
        )

    def forward(self, x: Any) -> Any:
        """Features (N, in_channels) to the membrane (N, out_channels) on the same sites."""
        skips = [self.stem(x)]
        for stage in self.down:
            skips.append(stage(skips[-1]))
        x = skips.pop()
        for stage in self.up:
            x = stage(x, skips.pop())
        return x
