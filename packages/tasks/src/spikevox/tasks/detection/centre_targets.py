"""Which sites of a map stand for which objects, and what is to be said there (CenterPoint, CVPR 2021; VoxelNeXt, CVPR 2023)."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikevox.tasks.datasets.frame import Boxes

Array = NDArray[np.float64]
# Columns of what is told of an object; velocities are the last two.
CODE = ("x", "y", "z", "log_length", "log_width", "log_height", "cos_yaw", "sin_yaw", "velocity_x", "velocity_y")
# A network at its start may say anything: no object is longer than e^5 m or shorter than e^-5 m.
_LARGEST_LOG = 5.0


class Map(NamedTuple):
    """Cells of a map seen from above.

    Attributes:
        lower: x and y of the lower corner of cell (0, 0), in metres.
        cell: size along x and y, in metres.
    """

    lower: tuple[float, float]
    cell: tuple[float, float]


class CentreTargets(NamedTuple):
    """Targets of the N sites of one or more samples, for M objects of one group of classes.

    Attributes:
        heat: (N, classes) float32, 1 at the site that stands for an object of the class, less around it.
        rows: (M,) int64, the site that stands for each object.
        codes: (M, 10) float32, what is to be said there, see :func:`encode_centres`; NaN where a velocity is not known.
    """

    heat: Tensor
    rows: Tensor
    codes: Tensor


def gaussian_radius(length: Array, width: Array, overlap: float) -> Array:
    """How far both corners of a box may be off along each axis with an overlap left (CornerNet, ECCV 2018, section 3.2).

    The least of three cases: both move inwards, both outwards, both the same way. The published code of CornerNet and of those
    after it has a slip in the roots of these equations, which makes radii of large objects larger; below ``min_radius`` of
    :func:`assign_centres` that makes no difference.

    Args:
        length: (M,), positive.
        width: (M,), positive, in the same unit.
        overlap: that must be left, between 0 and 1.

    Returns:
        (M,) in the unit of the sizes.
    """
    total, area = length + width, length * width
    inwards = (total - np.sqrt(total**2 - 4 * (1 - overlap) * area)) / 4
    outwards = (np.sqrt(total**2 + 4 * (1 / overlap - 1) * area) - total) / 4
    alongside = (total - np.sqrt(total**2 - 4 * (1 - overlap) / (1 + overlap) * area)) / 2
    radius: Array = np.minimum(np.minimum(inwards, outwards), alongside)
    return radius


def assign_centres(
    sites: Tensor,
    boxes: Boxes,
    names: tuple[str, ...],
    place: Map,
    *,
    overlap: float = 0.1,
    min_radius: int = 2,
) -> CentreTargets:
    """Targets of the sites of one sample.

    The site nearest to an object's middle stands for it, of equally near ones the first, wherever it is. Around that site, and
    around the middle itself, the heat falls as a Gaussian whose sigma is a sixth of ``2 radius + 1``; of several objects the
    hottest counts.

    Args:
        sites: (N, 2) whole numbers, x and y in cells.
        boxes: objects of the sample; those of other names are left out.
        names: of the classes.
        place: where the cells lie.
        overlap: see :func:`gaussian_radius`; radii are rounded down.
        min_radius: in cells.
    """
    objects = boxes.take(np.array([name in names for name in boxes.names], dtype=bool))
    heat = torch.zeros(len(sites), len(names), dtype=torch.float64)
    if not len(objects) or not len(sites):
        return CentreTargets(heat.float(), torch.zeros(0, dtype=torch.int64), torch.zeros(0, len(CODE)))
    places = sites.double()
    middles = torch.from_numpy((objects.centers[:, :2] - place.lower) / place.cell)
    distances = _squares(middles, places)
    rows = distances.argmin(dim=1)
    sizes = objects.sizes[:, :2] / place.cell
    radii = np.maximum(np.floor(gaussian_radius(sizes[:, 0], sizes[:, 1], overlap)), min_radius)
    spread = torch.from_numpy(2 * ((2 * radii + 1) / 6) ** 2)[:, None]
    nearest = torch.minimum(distances, _squares(places[rows], places))
    near = torch.exp(-nearest / spread)
    for number, name in enumerate(names):
        mine = [row for row, other in enumerate(objects.names) if other == name]
        if mine:
            heat[:, number] = near[mine].amax(dim=0)
    return CentreTargets(heat.float(), rows, encode_centres(objects, sites[rows], place).float())


def encode_centres(boxes: Boxes, sites: Tensor, place: Map) -> Tensor:
    """(M, 10) float64: what is said of boxes at sites.

    x and y from the site's lower corner in cells, z in metres, logarithms of the sizes in metres, cosine and sine of the yaw,
    velocity in m/s, NaN where it is not known.

    Args:
        boxes: M of them.
        sites: (M, 2) x and y in cells.
        place: where the cells lie.
    """
    moved = (boxes.centers[:, :2] - place.lower) / place.cell - sites.numpy()
    speed = np.full((len(boxes), 2), np.nan) if boxes.velocities is None else boxes.velocities
    turn = np.stack([np.cos(boxes.yaw), np.sin(boxes.yaw)], axis=1)
    return torch.from_numpy(np.concatenate([moved, boxes.centers[:, 2:], np.log(boxes.sizes), turn, speed], axis=1))


def decode_centres(codes: Tensor, sites: Tensor, place: Map) -> tuple[Array, Array]:
    """Boxes (M, 7) and velocities (M, 2) that codes (M, 10) tell at sites (M, 2), the inverse of :func:`encode_centres`."""
    table = codes.double().cpu().numpy()
    centers = (sites.cpu().numpy() + table[:, :2]) * place.cell + place.lower
    # NaN stays NaN, so that the check of the boxes tells of it.
    sizes = np.exp(np.clip(table[:, 3:6], -_LARGEST_LOG, _LARGEST_LOG))
    yaw = np.arctan2(table[:, 7], table[:, 6])
    return np.concatenate([centers, table[:, 2:3], sizes, yaw[:, None]], axis=1), table[:, 8:]


def _squares(points: Tensor, places: Tensor) -> Tensor:
    """(M, N) squared distances of points (M, 2) from places (N, 2)."""
    difference: Tensor = points[:, None] - places
    return (difference**2).sum(dim=2)
