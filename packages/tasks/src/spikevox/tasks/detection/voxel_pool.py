"""Features of the voxels around a grid of points in each region (Voxel R-CNN, AAAI 2021, arXiv 2012.15712, section 3.2)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from spikevox.layers import Linear
from spikevox.layers.blocks import Parts
from spikevox.tasks.errors import ConfigError

# Of normalisations in a second stage: torch's default, as published.
EPS = 1e-5
# Grid points that are looked up at a time, so that what is kept in between stays some tens of megabytes.
_CHUNK = 1 << 13


def roi_grid(rois: Tensor, size: int) -> Tensor:
    """(R, size^3, 3) the middles of size^3 equal parts of each region, x outermost, z innermost along its own axes.

    Args:
        rois: (R, 7) x, y, z, length, width, height, yaw, in metres and radians.
        size: parts an axis.
    """
    steps = (torch.arange(size, dtype=rois.dtype, device=rois.device) + 0.5) / size - 0.5
    local = torch.cartesian_prod(steps, steps, steps).view(1, -1, 3) * rois[:, None, 3:6]
    c, s = torch.cos(rois[:, 6:]), torch.sin(rois[:, 6:])
    x, y, z = local.unbind(dim=-1)
    return torch.stack([x * c - y * s, x * s + y * c, z], dim=-1) + rois[:, None, :3]


def query_voxels(
    points: Tensor,
    samples: Tensor,
    sites: Tensor,
    cell: Sequence[float],
    *,
    radius: float,
    reach: int = 4,
    most: int = 16,
) -> Tensor:
    """Voxels near each point: the first of those within a radius, in order of z, then y, then x, as the published code scans.

    Args:
        points: (M, 3) coordinates in metres from the grid's lower corner.
        samples: (M,) sample of each point.
        sites: (N, 4) int64, sample and x, y, z of each voxel, counted from 0.
        cell: size of a voxel along x, y, z, in metres.
        radius: a voxel's middle must lie nearer, in metres.
        reach: and at most so many voxels away from the point's along each axis.
        most: voxels a point.

    Returns:
        (M, most) int64 rows of ``sites``, -1 where there is no further one.
    """
    result = points.new_full((len(points), most), -1, dtype=torch.int64)
    if not len(sites) or not len(points):
        return result
    size = torch.as_tensor(cell, dtype=points.dtype, device=points.device)
    offsets = _offsets(size, radius, reach)
    low, high = sites[:, 1:].amin(dim=0), sites[:, 1:].amax(dim=0)
    # A point up to reach outside of all sites looks up to twice as far.
    origin, extent = low - 2 * reach, (high - low + 1 + 4 * reach).tolist()
    batches = int(torch.max(sites[:, 0].max(), samples.max())) + 1
    table = torch.full((batches, *extent), -1, dtype=torch.int32, device=points.device)
    table[sites[:, 0], *(sites[:, 1:] - origin).unbind(1)] = torch.arange(
        len(sites), dtype=torch.int32, device=points.device
    )
    ranks = torch.arange(len(offsets), 0, -1, dtype=torch.int16, device=points.device)
    # Rows of the table and squares of distances are those of a point's own voxel and a part that depends on the step alone.
    strides = torch.tensor(table.stride(), device=points.device)
    steps, ways = (offsets * strides[1:]).sum(dim=1), offsets.to(points.dtype) * size
    squares = (ways**2).sum(dim=1)
    for start in range(0, len(points), _CHUNK):
        part = slice(start, start + _CHUNK)
        home = (points[part] / size).floor().long()
        near = ((home >= low - reach) & (home <= high + reach)).all(dim=1)
        home = torch.where(near[:, None], home, low)
        own = samples[part] * strides[0] + ((home - origin) * strides[1:]).sum(dim=1)
        rows = table.view(-1)[own[:, None] + steps]
        middle = (home.to(points.dtype) + 0.5) * size - points[part]
        distance = torch.addmm(squares, middle, ways.T, alpha=2).add_((middle**2).sum(dim=1, keepdim=True))
        valid = (rows >= 0) & near[:, None] & (distance < radius**2)
        rank, place = torch.where(valid, ranks, 0).topk(min(most, len(offsets)), dim=1)
        result[part, : place.shape[1]] = torch.where(rank > 0, rows.gather(1, place).long(), -1)
    return result


def _offsets(size: Tensor, radius: float, reach: int) -> Tensor:
    """(K, 3) steps x, y, z to voxels that may lie within the radius, in the order of the scan."""
    steps = torch.arange(-reach, reach + 1, device=size.device)
    offsets = torch.cartesian_prod(steps, steps, steps).flip(1)
    # A point may stand anywhere in its voxel: half a voxel nearer than its middle.
    nearest = (offsets.abs() - 0.5).clamp(min=0) * size
    return offsets[(nearest**2).sum(dim=1) < radius**2]


class VoxelPool(nn.Module):
    """Pools a membrane around points: ``BN Lin(max over voxels of SN(BN Lin(membrane) + BN Lin(place)))``.

    The published code has a neuron behind the maximum too. What comes in are spikes, which it leaves as they are; it would only
    stop the gradient of those that are 0 or D.

    Args:
        in_channels: C of the membrane.
        out_channels: C of the output.
        cell: size of a site of the membrane along x, y, z, in metres.
        radius: see :func:`query_voxels`.
        parts: neuron and normalisation.
        most: see :func:`query_voxels`.
        reach: see :func:`query_voxels`.

    Raises:
        ConfigError: a radius, cell, reach or number that is not positive.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        cell: tuple[float, float, float],
        radius: float,
        parts: Parts,
        most: int = 16,
        reach: int = 4,
    ) -> None:
        super().__init__()
        if min(*cell, radius, most, reach) <= 0:
            raise ConfigError(
                f"pooling needs positive cell, radius, most and reach, got {cell}, {radius}, {most}, {reach}."
            )
        self.cell, self.radius, self.most, self.reach = cell, radius, most, reach
        self.of_membrane = nn.Sequential(
            Linear(in_channels, out_channels, bias=False), parts.make_norm(out_channels, eps=EPS)
        )
        self.of_place = nn.Sequential(Linear(3, out_channels, bias=False), parts.make_norm(out_channels, eps=EPS))
        self.neuron = parts.make_neuron()
        self.out = nn.Sequential(Linear(out_channels, out_channels, bias=False), parts.make_norm(out_channels, eps=EPS))

    def forward(self, membrane: Any, points: Tensor, samples: Tensor) -> Tensor:
        """(M, out_channels) membrane at points.

        Args:
            membrane: SparseTensor (N, in_channels) without a time axis.
            points: (M, 3) coordinates in metres from the grid's lower corner.
            samples: (M,) sample of each.
        """
        sites = membrane.coordinates.long()
        stride = torch.tensor([1, *membrane.tensor_stride], device=sites.device)
        sites = torch.div(sites, stride, rounding_mode="floor")
        rows = query_voxels(points, samples, sites, self.cell, radius=self.radius, reach=self.reach, most=self.most)
        features = self.of_membrane(membrane.features)
        empty = rows[:, :1] < 0
        # Places without a further voxel repeat the first one, which leaves the maximum as it is.
        rows = torch.where(rows < 0, rows[:, :1], rows)
        if len(features):
            near = features[rows.clamp(min=0)]
            size = points.new_tensor(self.cell)
            place = (sites[rows.clamp(min=0), 1:].to(points.dtype) + 0.5) * size - points[:, None]
        else:
            near = features.new_zeros(*rows.shape, features.shape[-1])
            place = points.new_zeros(*rows.shape, 3)
        near = near.masked_fill(empty[..., None], 0)
        place = self.of_place(place.masked_fill(empty[..., None], 0).to(features.dtype))
        return self.out(self.neuron(near + place).amax(dim=1))
