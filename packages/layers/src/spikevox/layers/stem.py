"""The learned part of spike voxel coding (SVC): real voxel features to a membrane."""

from typing import Any

from torch import nn

from spikevox.layers.blocks import Parts
from spikevox.layers.conv import SubmanifoldConv3d
from spikevox.layers.spiking_unit import SpikingSequential


class SpikeVoxelStem(nn.Module):
    """Three submanifold convolutions; the first reads real values, the others spikes.

    The output is a membrane; it becomes spikes at the neuron that opens the next block.

    Args:
        in_channels: columns of the voxel features.
        channels: C of the output.
        parts: neuron and normalisation.
    """

    def __init__(self, in_channels: int, channels: int, *, parts: Parts | None = None) -> None:
        super().__init__()
        parts = parts or Parts()
        self.layers = SpikingSequential(
            SubmanifoldConv3d(in_channels, channels, kernel_size=3),
            parts.make_norm(channels),
            *parts.spiking_conv(channels, channels),
            *parts.spiking_conv(channels, channels),
        )

    def forward(self, x: Any) -> Any:
        """Features (N, in_channels) to a membrane (N, channels) on the same sites."""
        return self.layers(x)
