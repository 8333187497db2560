"""Boxes of fixed size on a grid seen from above, from which a detector's boxes are told (SECOND, Sensors 2018, section 3.3)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from spikevox.tasks.errors import ConfigError


class AnchorClass(NamedTuple):
    """Anchors of a class.

    Attributes:
        name: of the class.
        size: length, width and height in metres.
        bottom: height of their undersides, in metres.
        matched: an anchor that overlaps an object by at least so much stands for it.
        unmatched: one that overlaps none by so much is background; those in between count for nothing.
        rotations: headings in radians.
    """

    name: str
    size: tuple[float, float, float]
    bottom: float
    matched: float
    unmatched: float
    rotations: tuple[float, ...] = (0.0, math.pi / 2)


# Of Voxel R-CNN for KITTI (arXiv 2012.15712) and the networks before it.
KITTI_CAR = AnchorClass("Car", (3.9, 1.6, 1.56), -1.78, 0.6, 0.45, (0.0, 1.57))


def anchor_grid(
    classes: Sequence[AnchorClass],
    extent: tuple[float, float, float, float],
    cells: tuple[int, int],
    *,
    in_cells: bool = False,
) -> Tensor:
    """Anchors of every class and heading on a grid.

    Args:
        classes: at least one; as many headings in each.
        extent: lowest x and y, highest x and y of the grid, in metres.
        cells: cells along x and y, those of the feature map.
        in_cells: whether they stand in the middles of the cells. Otherwise the first and last of a row stand on the borders of
            the extent and the others at equal steps between them, as in OpenPCDet, whose trained heads expect it.

    Returns:
        (Y, X, classes, headings, 7) float32: x, y, z of the middle; length, width, height; yaw.

    Raises:
        ConfigError: no class, classes of different numbers of headings, or an extent or cells that are not positive.
    """
    headings = {len(one.rotations) for one in classes}
    if len(headings) != 1 or 0 in headings:
        raise ConfigError("anchors need at least one class, and as many headings, at least one, in each.")
    low_x, low_y, high_x, high_y = extent
    if not (low_x < high_x and low_y < high_y and min(cells) > 0):
        raise ConfigError(f"anchors need an extent and cells that are positive, got {extent} and {cells}.")
    x, y = _steps(low_x, high_x, cells[0], in_cells), _steps(low_y, high_y, cells[1], in_cells)
    result = torch.empty(cells[1], cells[0], len(classes), headings.pop(), 7, dtype=torch.float64)
    result[..., 0] = x[:, None, None]
    result[..., 1] = y[:, None, None, None]
    for number, one in enumerate(classes):
        result[:, :, number, :, 2] = one.bottom + one.size[2] / 2
        result[:, :, number, :, 3:6] = torch.tensor(one.size, dtype=torch.float64)
        result[:, :, number, :, 6] = torch.tensor(one.rotations, dtype=torch.float64)
    return result.float()


def _steps(low: float, high: float, count: int, in_cells: bool) -> Tensor:
    if in_cells:
        return low + (high - low) / count * (torch.arange(count, dtype=torch.float64) + 0.5)
    return torch.linspace(low, high, count, dtype=torch.float64)
