"""The second stage of Voxel R-CNN with spikes: what lies in each proposal says how sure it is and how its box is off."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spikevox.layers import Linear
from spikevox.layers.backbones import Backbone
from spikevox.tasks.detection.voxel_pool import EPS, VoxelPool, roi_grid
from spikevox.tasks.errors import ConfigError


class RoiSize(NamedTuple):
    """Grid points an axis, channels that each membrane is pooled to, channels of the linear layers."""

    grid: int
    pooled: int
    hidden: int


ROI_SIZES = {"base": RoiSize(6, 32, 256), "small": RoiSize(4, 16, 64)}


class RoiOutput(NamedTuple):
    """What is said of each proposal of a batch, sample after sample.

    Attributes:
        scores: (R,) logits.
        deltas: (R, 7) from the proposal to the box, see :func:`~spikevox.tasks.detection.encode_rois`.
    """

    scores: Tensor
    deltas: Tensor


class RoiHead(Backbone):
    """Voxel RoI pooling of the backbone's membranes and linear layers (E-3DSNN, section 2.3 of its published code).

    Args:
        stage_channels: C of the three membranes.
        voxel_size: of the grid along x, y, z, in metres.
        lower: the grid's lower corner in metres.
        size: ``"base"``, the published one (5,650,280 parameters), or ``"small"``, for CPUs.
        strides: of the membranes.
        radii: within which voxels of each membrane are pooled, in metres.
        dropout: share of membranes that a training silences.
        **options: see :class:`~spikevox.layers.backbones.Backbone`.

    Raises:
        ConfigError: an unknown size, or other numbers of membranes, strides and radii.

    Example:
        >>> head = RoiHead((32, 64, 64), (0.05, 0.05, 0.1), (0, -40, -3))
        >>> sum(p.numel() for p in head.parameters())
        5650280
    """

    def __init__(
        self,
        stage_channels: Sequence[int],
        voxel_size: tuple[float, float, float],
        lower: tuple[float, float, float],
        *,
        size: str = "base",
        strides: Sequence[int] = (2, 4, 8),
        radii: Sequence[float] = (0.4, 0.8, 1.6),
        dropout: float = 0.3,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if size not in ROI_SIZES:
            raise ConfigError(f"unknown RoiHead size {size!r}; there are {', '.join(ROI_SIZES)}.")
        if not len(stage_channels) == len(strides) == len(radii):
            raise ConfigError(
                f"each membrane has a stride and a radius, got {len(stage_channels)} membranes, {len(strides)} strides and "
                f"{len(radii)} radii."
            )
        shape = ROI_SIZES[size]
        self.grid = shape.grid
        self.lower = tuple(lower)
        self.dropout = dropout
        self.pools = nn.ModuleList(
            VoxelPool(
                channels,
                shape.pooled,
                cell=(stride * voxel_size[0], stride * voxel_size[1], stride * voxel_size[2]),
                radius=radius,
                parts=self.parts,
            )
            for channels, stride, radius in zip(stage_channels, strides, radii, strict=True)
        )
        pooled, hidden = shape.grid**3 * shape.pooled * len(stage_channels), shape.hidden
        self.shared = self._layers(pooled, hidden)
        self.score = nn.Sequential(*self._layers(hidden, hidden), Linear(hidden, 1))
        deltas = Linear(hidden, 7)
        nn.init.normal_(deltas.weight, std=0.001)
        self.box = nn.Sequential(*self._layers(hidden, hidden), deltas)

    def _layers(self, in_channels: int, channels: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for position, width in enumerate((in_channels, channels)):
            layers += [
                self.parts.make_neuron(),
                Linear(width, channels, bias=False),
                self.parts.make_norm(channels, eps=EPS),
                *([nn.Dropout(self.dropout)] if position == 0 else []),
            ]
        return nn.Sequential(*layers)

    def forward(self, membranes: Sequence[Any], rois: Sequence[Tensor]) -> RoiOutput:
        """Scores and deltas of proposals.

        Args:
            membranes: of the backbone's stages.
            rois: (R, 7) proposals of each sample, in metres and radians.
        """
        boxes = torch.cat(list(rois))
        numbers = torch.arange(len(rois), device=boxes.device)
        samples = numbers.repeat_interleave(torch.tensor([len(one) for one in rois], device=boxes.device))
        points = (roi_grid(boxes, self.grid) - boxes.new_tensor(self.lower)).flatten(0, 1)
        of_point = samples.repeat_interleave(self.grid**3)
        pooled = [pool(x, points, of_point) for pool, x in zip(self.pools, membranes, strict=True)]
        shared = self.shared(torch.cat(pooled, dim=1).reshape(len(boxes), -1))
        return RoiOutput(self.score(shared)[:, 0], self.box(shared))
