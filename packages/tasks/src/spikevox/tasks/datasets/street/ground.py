"""Ground of a street: heights, what lies where, and where rays meet it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.street.classes import CLASS_NUMBERS
from spikevox.tasks.datasets.street.lidar import Lidar
from spikevox.tasks.datasets.street.primitives import Array

RAMP = 0.08  # metres over which a kerb rises
_DASH, _DASH_PERIOD, _LINE = 3.0, 9.0, 0.08


@dataclass(frozen=True)
class Ground:
    """A road along x that bends and rolls, kerbs and sidewalks on both sides, crossed by other roads.

    Attributes:
        lanes: of the road, at least 1, half of them (rounded up) in the direction of x.
        lane_width: metres.
        parking: metres of the strip for parked vehicles on each side, 0 for none.
        sidewalk: metres of the sidewalk on each side.
        kerb: metres that the sidewalk rises above the road.
        bend: 1/m, curvature of the road.
        slope: (2,) metres up a metre along x and along y.
        waves: (W, 4) height in metres, angular frequency in 1/m along x and along y, phase of each wave of the ground.
        crossings: (K, 2) x and half the width in metres of each crossing road.
        island: metres, half the width of the island between the directions, 0 for none.
    """

    lanes: int
    lane_width: float
    parking: float
    sidewalk: float
    kerb: float
    bend: float
    slope: tuple[float, float]
    waves: Array
    crossings: Array
    island: float = 0.0

    @property
    def half_road(self) -> float:
        """Metres from the middle of the road to the kerb."""
        return self.lanes * self.lane_width / 2 + self.parking + self.island

    def middle(self, x: Array) -> Array:
        """Y of the road's middle."""
        return 0.5 * self.bend * x * x

    def heading(self, x: Array) -> Array:
        """Radians, direction of the road."""
        return np.arctan(self.bend * x)

    def height(self, x: Array, y: Array) -> Array:
        """Metres, of the same shape as x and y."""
        side = np.abs(y - self.middle(x))
        result = self.slope[0] * x + self.slope[1] * y
        for size, along, across, phase in self.waves:
            result += size * np.sin(along * x + across * y + phase)
        raised = np.clip((side - self.half_road) / RAMP, 0.0, 1.0)
        for place, half in self.crossings:
            raised = raised * np.clip((np.abs(x - place) - half) / RAMP, 0.0, 1.0)
        if self.island:
            island = np.clip((self.island - side) / RAMP, 0.0, 1.0)
            for place, half in self.crossings:
                island = island * np.clip((np.abs(x - place) - half - 5) / RAMP, 0.0, 1.0)
            raised = np.maximum(raised, island)
        return result + self.kerb * raised

    def classes(self, x: Array, y: Array) -> NDArray[np.int64]:
        """Numbers of STREET_CLASSES, of the same shape as x and y."""
        side = np.abs(y - self.middle(x))
        gap = np.full(np.shape(x), np.inf)
        for place, half in self.crossings:
            gap = np.minimum(gap, np.abs(x - place) - half)
        crossing = gap <= 0
        result = np.full(np.shape(x), CLASS_NUMBERS["terrain"])
        result[(side < self.half_road + self.sidewalk) | (gap < self.sidewalk)] = CLASS_NUMBERS["sidewalk"]
        result[(side < self.half_road) | crossing] = CLASS_NUMBERS["road"]
        lanes = self.half_road - self.parking
        result[(side >= lanes) & (side < self.half_road) & (gap > 4)] = CLASS_NUMBERS["parking"]
        result[self._marked(x, y, side, gap)] = CLASS_NUMBERS["lane_marking"]
        if self.island:
            result[(side < self.island) & (gap > 5)] = CLASS_NUMBERS["other_ground"]
        return result

    def _marked(self, x: Array, y: Array, side: Array, gap: Array) -> NDArray[np.bool_]:
        """Dashes between lanes, lines beside parking strips, stop lines and zebra stripes at crossings."""
        lane = (side - self.island + (self.lanes % 2) * self.lane_width / 2) / self.lane_width
        beside = np.abs(lane - np.round(lane)) * self.lane_width < _LINE
        edge = (self.lanes + self.lanes % 2) / 2
        dashed = beside & (np.round(lane) < edge) & (np.mod(x, _DASH_PERIOD) < _DASH)
        solid = beside & (np.round(lane) == edge) & (self.parking > 0)
        lanes = side < self.half_road - self.parking
        stop = lanes & (gap > 4.2) & (gap < 4.6)
        zebra = lanes & (gap > 1.0) & (gap < 3.5) & (np.mod(y, 1.2) < 0.5)
        return ((dashed | solid) & (gap > 4)) | stop | zebra


def cast_ground(ground: Ground, place: Array, heading: float, lidar: Lidar) -> tuple[Array, Array]:
    """Where rays from ``place`` (3,) meet the ground.

    Returns:
        Horizontal distance (beams * steps,), infinite for none, and cosine of the angle to the ground's normal.
    """
    radii = np.geomspace(0.5, lidar.max_range, 192)
    c, s = np.cos(lidar.azimuths + heading), np.sin(lidar.azimuths + heading)
    x, y = place[0] + radii * c[:, None], place[1] + radii * s[:, None]
    rise = (ground.height(x, y) - place[2]) / radii
    # A ray ends at the first radius whose ground stands above it: the running largest rise is sorted, so that one search
    # over all directions finds it.
    seen = np.maximum.accumulate(rise, axis=1)
    low, high = min(seen.min(), lidar.tangents[0]) - 1, max(seen.max(), lidar.tangents[-1]) + 1
    offset = np.arange(lidar.steps) * (high - low)
    keys = lidar.tangents[:, None] + offset
    found = np.searchsorted((seen + offset[:, None]).ravel(), keys.ravel()) - np.tile(
        np.arange(lidar.steps) * len(radii), len(lidar.tangents)
    )
    distance, cosine = np.full(found.shape, np.inf), np.ones(found.shape)
    hit = np.flatnonzero((found > 0) & (found < len(radii)))
    step, tangent = hit % lidar.steps, lidar.tangents[hit // lidar.steps]
    inner, outer = radii[found[hit] - 1], radii[found[hit]]
    turn = (c[step], s[step])
    for _ in range(5):
        half = 0.5 * (inner + outer)
        above = place[2] + tangent * half > ground.height(place[0] + half * turn[0], place[1] + half * turn[1])
        inner, outer = np.where(above, half, inner), np.where(above, outer, half)
    distance[hit] = _meet(ground, place, turn, tangent, inner, outer)
    run = outer - inner
    slope = (_height(ground, place, turn, outer) - _height(ground, place, turn, inner)) / run
    cosine[hit] = np.clip((slope - tangent) / np.hypot(1, slope) / np.hypot(1, tangent), 0.0, 1.0)
    return distance, cosine


def _height(ground: Ground, place: Array, turn: tuple[Array, Array], radius: Array) -> Array:
    return ground.height(place[0] + radius * turn[0], place[1] + radius * turn[1])


def _meet(ground: Ground, place: Array, turn: tuple[Array, Array], tangent: Array, inner: Array, outer: Array) -> Array:
    """Distance at which a straight ray meets the straight line between the ground at both ends."""
    first = place[2] + tangent * inner - _height(ground, place, turn, inner)
    last = place[2] + tangent * outer - _height(ground, place, turn, outer)
    return inner + (outer - inner) * np.clip(first / np.maximum(first - last, 1e-9), 0.0, 1.0)
