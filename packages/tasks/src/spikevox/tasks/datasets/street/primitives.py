"""Convex solids that rays meet: tapered boxes, upright cylinders and ellipsoids."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BOX, CYLINDER, ELLIPSOID = 0, 1, 2
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Primitives:
    """A table of solids, all upright.

    Attributes:
        kind: (N,) int64, BOX, CYLINDER or ELLIPSOID.
        center: (N, 3) float64, metres.
        half: (N, 3) float64, half the extent along the solid's own axes, at the bottom of a box.
        yaw: (N,) float64, radians about z.
        taper: (N, 2) float64, metres by which each side of a box moves in, a metre up; 0 for the others.
        density: (N,) float64, returns a metre inside a porous solid; infinite for one that stops all rays at its surface.
        owner: (N,) int64, row in a table of the caller.
    """

    kind: NDArray[np.int64]
    center: Array
    half: Array
    yaw: Array
    taper: Array
    density: Array
    owner: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, rows: NDArray) -> "Primitives":
        """The chosen rows."""
        return Primitives(**{name: column[rows] for name, column in vars(self).items()})

    def seen_from(self, place: Array, heading: float) -> "Primitives":
        """The same solids in a frame at ``place`` (3,) that is turned by ``heading`` about z."""
        c, s = np.cos(heading), np.sin(heading)
        moved = self.center - place
        center = np.stack(
            [moved[:, 0] * c + moved[:, 1] * s, moved[:, 1] * c - moved[:, 0] * s, moved[:, 2]],
            axis=1,
        )
        return Primitives(self.kind, center, self.half, self.yaw - heading, self.taper, self.density, self.owner)


@dataclass(frozen=True)
class Crossings:
    """Where rays from the origin enter and leave solids; all (N,) float64.

    Attributes:
        enter: horizontal distance, in metres; larger than ``leave`` for a ray that misses.
        leave: horizontal distance, in metres.
        cosine: of the angle between the ray and the surface's normal where it enters.
    """

    enter: Array
    leave: Array
    cosine: Array


def cross_boxes(solids: Primitives, rows: NDArray, ray: tuple[Array, Array, Array]) -> Crossings:
    """Rays ``(cos azimuth, sin azimuth, tan elevation)``, each against the box of its row: six half-spaces."""
    c, s = np.cos(solids.yaw), np.sin(solids.yaw)
    x, y, z = solids.center.T
    # The sensor in the box's own axes.
    own = (-x * c - y * s, -y * c + x * s)
    turned = (ray[0] * c[rows] + ray[1] * s[rows], ray[1] * c[rows] - ray[0] * s[rows])
    enter, leave = np.full(len(rows), -np.inf), np.full(len(rows), np.inf)
    slope = np.zeros(len(rows))
    for axis in range(2):
        taper, half = solids.taper[:, axis], solids.half[:, axis] - solids.taper[:, axis] * solids.half[:, 2]
        rise = taper[rows] * ray[2]
        length = np.hypot(1.0, taper)[rows]
        for sign in (1.0, -1.0):
            start = (sign * own[axis] - taper * z - half)[rows]
            _clip(start, (sign * turned[axis] + rise), length, enter, leave, slope)
    for sign in (1.0, -1.0):
        _clip((-sign * z - solids.half[:, 2])[rows], sign * ray[2], 1.0, enter, leave, slope)
    return Crossings(enter, leave, np.minimum(slope / np.hypot(1.0, ray[2]), 1.0))


def _clip(start: Array, step: Array, length: Array | float, enter: Array, leave: Array, slope: Array) -> None:
    """Keeps of each ray the part where ``start + step * distance <= 0``."""
    step = np.where(np.abs(step) < 1e-12, 1e-12, step)
    at = -start / step
    entering = step < 0
    later = entering & (at > enter)
    np.copyto(enter, at, where=later)
    np.copyto(slope, -step / length, where=later)
    np.copyto(leave, at, where=~entering & (at < leave))


def cross_rounds(solids: Primitives, rows: NDArray, ray: tuple[Array, Array, Array]) -> Crossings:
    """As :func:`cross_boxes`, for cylinders with lids and for ellipsoids: a quadratic and a slab."""
    c, s = np.cos(solids.yaw), np.sin(solids.yaw)
    x, y, z = solids.center.T
    # A cylinder is an ellipsoid whose third axis is without end.
    scale = np.column_stack([1 / solids.half[:, :2], np.where(solids.kind == ELLIPSOID, 1 / solids.half[:, 2], 0.0)])
    own = np.stack([-x * c - y * s, -y * c + x * s, -z], axis=1) * scale
    u = (ray[0] * c[rows] + ray[1] * s[rows]) * scale[rows, 0]
    v = (ray[1] * c[rows] - ray[0] * s[rows]) * scale[rows, 1]
    w = ray[2] * scale[rows, 2]
    square = np.maximum(u * u + v * v + w * w, 1e-12)
    middle = -(own[rows, 0] * u + own[rows, 1] * v + own[rows, 2] * w) / square
    spread = middle * middle - ((own * own).sum(axis=1)[rows] - 1) / square
    hit = spread > 0
    root = np.sqrt(np.where(hit, spread, 0.0))
    enter, leave = np.where(hit, middle - root, np.inf), np.where(hit, middle + root, -np.inf)
    normal = [(own[rows, 0] + enter.clip(-1e6, 1e6) * u) * scale[rows, 0]]
    normal.append((own[rows, 1] + enter.clip(-1e6, 1e6) * v) * scale[rows, 1])
    normal.append((own[rows, 2] + enter.clip(-1e6, 1e6) * w) * scale[rows, 2])
    size = np.sqrt(sum(part * part for part in normal)) + 1e-12
    # The ray in the solid's own axes is (u, v, w) without its scale.
    slope = -(normal[0] * u / scale[rows, 0] + normal[1] * v / scale[rows, 1] + normal[2] * ray[2]) / size
    for sign in (1.0, -1.0):
        _clip((-sign * z - solids.half[:, 2])[rows], sign * ray[2], 1.0, enter, leave, slope)
    return Crossings(enter, leave, np.clip(slope / np.hypot(1.0, ray[2]), 0.0, 1.0))
