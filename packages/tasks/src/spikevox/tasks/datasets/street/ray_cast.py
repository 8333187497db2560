"""The first solid that each ray of a spinning LiDAR meets, without a loop over solids or rays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.street.lidar import Lidar
from spikevox.tasks.datasets.street.primitives import BOX, Array, Primitives, cross_boxes, cross_rounds


@dataclass(frozen=True)
class Returns:
    """What each ray meets first, as (beams * steps,) arrays.

    Attributes:
        distance: horizontal metres, infinite where a ray meets nothing.
        primitive: int64 row of the solid, -1 for none.
        cosine: of the angle to the surface's normal; drawn at random inside porous solids.
    """

    distance: Array
    primitive: NDArray[np.int64]
    cosine: Array


def cast(solids: Primitives, lidar: Lidar, generator: np.random.Generator) -> Returns:
    """Rays from the origin against solids in the sensor's frame.

    A solid is held only against the rays of its window of azimuths and elevations, all windows in one batch. Solids
    within ``min_range`` of the sensor, or around it, are passed through, unless they are porous.
    """
    solid, beam, step = _candidates(solids, lidar)
    rays = (np.cos(lidar.azimuths)[step], np.sin(lidar.azimuths)[step], lidar.tangents[beam])
    enter = np.full(len(solid), np.inf)
    cosine = np.zeros(len(solid))
    box = solids.kind[solid] == BOX
    for rows, cross in ((np.flatnonzero(box), cross_boxes), (np.flatnonzero(~box), cross_rounds)):
        met = cross(solids, solid[rows], (rays[0][rows], rays[1][rows], rays[2][rows]))
        enter[rows], cosine[rows] = _first_return(met.enter, met.leave, met.cosine, solids.density[solid[rows]],
                                                  rays[2][rows], lidar, generator)  # fmt: skip
    keep = np.flatnonzero(np.isfinite(enter))
    return _nearest(enter[keep], cosine[keep], solid[keep], beam[keep] * lidar.steps + step[keep], lidar)


def _first_return(
    enter: Array,
    leave: Array,
    cosine: Array,
    density: Array,
    tangent: Array,
    lidar: Lidar,
    generator: np.random.Generator,
) -> tuple[Array, Array]:
    """Horizontal distance of the return, infinite for none; a porous solid is entered some way, or passed."""
    porous = np.flatnonzero(np.isfinite(density) & (enter < leave) & (leave > 0))
    solid = np.isinf(density) & (enter < leave) & (enter * np.hypot(1.0, tangent) > lidar.min_range)
    result = np.where(solid, enter, np.inf)
    depth = generator.exponential(size=len(porous)) / density[porous] / np.hypot(1.0, tangent[porous])
    inside = np.maximum(enter[porous], 0.0) + depth
    result[porous] = np.where((inside < leave[porous]) & (inside > lidar.min_range), inside, np.inf)
    cosine[porous] = generator.uniform(0.2, 1.0, len(porous))
    return result, cosine


def _nearest(enter: Array, cosine: Array, solid: NDArray, ray: NDArray, lidar: Lidar) -> Returns:
    count = len(lidar.elevations) * lidar.steps
    distance = np.full(count, np.inf)
    np.minimum.at(distance, ray, enter)
    first = np.flatnonzero(enter == distance[ray])
    primitive, slope = np.full(count, -1, dtype=np.int64), np.ones(count)
    primitive[ray[first]] = solid[first]
    slope[ray[first]] = cosine[first]
    return Returns(distance, primitive, slope)


def _candidates(solids: Primitives, lidar: Lidar) -> tuple[NDArray, NDArray, NDArray]:
    """Solid, beam and step of every ray in the window of a solid."""
    near, far, middle, spread = _footprints(solids)
    top, bottom = solids.center[:, 2] + solids.half[:, 2], solids.center[:, 2] - solids.half[:, 2]
    near = np.maximum(near, 1e-3)
    first_beam = np.searchsorted(lidar.tangents, bottom / np.where(bottom > 0, far, near), side="left")
    last_beam = np.searchsorted(lidar.tangents, top / np.where(top > 0, near, far), side="right")
    width = 2 * np.pi / lidar.steps
    first_step = np.ceil((middle - spread + np.pi) / width - 0.5 - 1e-9).astype(np.int64)
    last_step = np.floor((middle + spread + np.pi) / width - 0.5 + 1e-9).astype(np.int64) + 1
    steps = np.clip(last_step - first_step, 0, lidar.steps)
    beams = np.maximum(last_beam - first_beam, 0) * (near < lidar.max_range)
    counts = steps * beams
    solid = np.repeat(np.arange(len(solids)), counts)
    place = np.arange(len(solid)) - np.repeat(np.cumsum(counts) - counts, counts)
    row, column = np.divmod(place, np.maximum(steps, 1)[solid])
    return solid, first_beam[solid] + row, (first_step[solid] + column) % lidar.steps


def _footprints(solids: Primitives) -> tuple[Array, Array, Array, Array]:
    """Nearest and farthest horizontal distance, azimuth of the middle and half the range of azimuths, of each solid."""
    c, s = np.cos(solids.yaw), np.sin(solids.yaw)
    x, y = solids.center[:, 0], solids.center[:, 1]
    # Half sizes at the top of a box that widens upwards.
    half = solids.half[:, :2] + np.maximum(-solids.taper, 0) * 2 * solids.half[:, 2:]
    along, across = np.abs(x * c + y * s), np.abs(y * c - x * s)
    near = np.hypot(np.maximum(along - half[:, 0], 0), np.maximum(across - half[:, 1], 0))
    far = np.hypot(along + half[:, 0], across + half[:, 1])
    middle = np.arctan2(y, x)
    spread = np.zeros(len(solids))
    for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        corner_x, corner_y = x + a * half[:, 0] * c - b * half[:, 1] * s, y + a * half[:, 0] * s + b * half[:, 1] * c
        turn = np.arctan2(corner_y, corner_x) - middle
        spread = np.maximum(spread, np.abs((turn + np.pi) % (2 * np.pi) - np.pi))
    return near, far, middle, np.where(near > 0, spread, np.pi)
