"""E-3DSNN's encoder in its four sizes."""

from itertools import pairwise
from typing import Any, NamedTuple

from torch import nn

from spikevox.layers.backbones.backbone import Backbone
from spikevox.layers.blocks import BasicBlock, Down
from spikevox.layers.errors import LayerError
from spikevox.layers.stem import SpikeVoxelStem


class EncoderSize(NamedTuple):
    """Channels of the stem and of the four stages, and blocks in each stage."""

    stem: int
    stages: tuple[int, int, int, int]
    blocks: int


SIZES = {
    "T": EncoderSize(16, (16, 32, 64, 128), 1),
    "S": EncoderSize(24, (24, 48, 96, 160), 1),
    "L": EncoderSize(64, (64, 128, 128, 256), 2),
    "H": EncoderSize(64, (96, 192, 288, 384), 2),
}


class Encoder(Backbone):
    """Stem and four stages, each a down-sampling by 2 and residual blocks (E-3DSNN, section 2.1 of its code).

    Args:
        size: ``"T"``, ``"S"``, ``"L"`` or ``"H"``.
        in_channels: columns of the voxel features.
        width: factor on all channels; 0.5 is a quarter of the parameters.
        **options: see :class:`Backbone`.

    Attributes:
        out_channels: C of the output.

    Raises:
        LayerError: an unknown size or neuron.

    Example:
        >>> sum(p.numel() for p in Encoder("T", in_channels=6).parameters()) + 129 * 40
        1874216
    """

    def __init__(
        self,
        size: str,
        in_channels: int,
        *,
        width: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if size not in SIZES:
            raise LayerError(f"unknown encoder size {size!r}; there are {', '.join(SIZES)}.")
        if not 0 < width <= 8:
            raise LayerError(f"width must lie in (0, 8], got {width}.")
        parts = self.parts
        channels = [max(1, round(c * width)) for c in (SIZES[size].stem, *SIZES[size].stages)]
        self.size = size
        self.in_channels = in_channels
        self.out_channels = channels[-1]
        self.stem = SpikeVoxelStem(in_channels, channels[0], parts=parts)
        self.stages = nn.Sequential(
            *(
                nn.Sequential(
                    Down(previous, current, parts=parts),
                    *(BasicBlock(current, parts=parts) for _ in range(SIZES[size].blocks)),
                )
                for previous, current in pairwise(channels)
            )
        )

    def forward(self, x: Any) -> Any:
        """Features (N, in_channels) to the membrane (N', out_channels) at 16 times the tensor stride."""
        return self.stages(self.stem(x))
