"""Points on the surfaces of simple solids, each of random proportions, in metres, centred about the origin."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Generator = np.random.Generator


def unit_sphere(generator: Generator, count: int) -> Array:
    """Uniform directions (count, 3)."""
    points = generator.normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def box_surfaces(generator: Generator, count: int, boxes: Sequence[Sequence[float]]) -> Array:
    """Points on the faces of boxes (centre x, y, z, size x, y, z), by area."""
    table = np.asarray(boxes, dtype=np.float64)
    centre, size = table[:, :3], table[:, 3:]
    area = np.stack([size[:, 1] * size[:, 2], size[:, 0] * size[:, 2], size[:, 0] * size[:, 1]], axis=1).ravel()
    box, axis = np.divmod(generator.choice(area.size, count, p=area / area.sum()), 3)
    inside = generator.random((count, 3)) - 0.5
    inside[np.arange(count), axis] = generator.choice([-0.5, 0.5], count)
    return centre[box] + inside * size[box]


def _disk(generator: Generator, count: int) -> Array:
    angle = generator.uniform(0, 2 * np.pi, count)
    radius = np.sqrt(generator.random(count))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def ellipsoid(generator: Generator, count: int) -> Array:
    """Half axes 0.5 to 1."""
    return unit_sphere(generator, count) * generator.uniform(0.5, 1.0, 3)


def box(generator: Generator, count: int) -> Array:
    """Edges 0.7 to 1.8."""
    return box_surfaces(generator, count, [[0, 0, 0, *generator.uniform(0.7, 1.8, 3)]])


def cylinder(generator: Generator, count: int) -> Array:
    """Radius 0.4 to 0.9, height 0.8 to 2, with lids."""
    radius, height = generator.uniform(0.4, 0.9), generator.uniform(0.8, 2.0)
    side = generator.random(count) < height / (height + radius)
    angle = generator.uniform(0, 2 * np.pi, count)
    rim = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    flat = np.where(side[:, None], rim, _disk(generator, count)) * radius
    z = np.where(side, generator.uniform(-0.5, 0.5, count), generator.choice([-0.5, 0.5], count)) * height
    return np.column_stack([flat, z])


def cone(generator: Generator, count: int) -> Array:
    """Radius 0.5 to 0.9, height 0.9 to 2, with its base."""
    radius, height = generator.uniform(0.5, 0.9), generator.uniform(0.9, 2.0)
    side = generator.random(count) < np.hypot(radius, height) / (np.hypot(radius, height) + radius)
    flat = _disk(generator, count)
    # On the mantle the distance from the axis tells the height: a disk drawn up into a cone.
    z = np.where(side, height * (1 - np.linalg.norm(flat, axis=1)), 0.0)
    return np.column_stack([flat * radius, z - height / 2])


def pyramid(generator: Generator, count: int) -> Array:
    """Base edges 0.8 to 1.6, height 0.9 to 2."""
    width, depth = generator.uniform(0.8, 1.6, 2)
    height = generator.uniform(0.9, 2.0)
    face = generator.integers(0, 5, count)
    along, across = np.sqrt(generator.random(count)), generator.uniform(-0.5, 0.5, count)
    sign = np.where(face % 2 == 0, -0.5, 0.5)
    x = np.where(face < 2, across, sign) * along
    y = np.where(face < 2, sign, across) * along
    base = face == 4
    x[base], y[base] = generator.uniform(-0.5, 0.5, (2, int(base.sum())))
    z = np.where(base, 0.0, height * (1 - along))
    return np.column_stack([x * width, y * depth, z - height / 2])


def torus(generator: Generator, count: int) -> Array:
    """Radius of the ring 0.55 to 0.8, of the tube 0.14 to 0.3."""
    ring, tube = generator.uniform(0.55, 0.8), generator.uniform(0.14, 0.3)
    around, about = generator.uniform(0, 2 * np.pi, (2, count))
    distance = ring + tube * np.cos(about)
    squeeze = generator.uniform(0.75, 1.0)
    return np.column_stack([distance * np.cos(around), squeeze * distance * np.sin(around), tube * np.sin(about)])


def helix(generator: Generator, count: int) -> Array:
    """A tube of radius 0.05 to 0.13 wound 1.6 to 4 times, left or right."""
    turns, radius = generator.uniform(1.6, 4.0), generator.uniform(0.4, 0.8)
    height, tube = generator.uniform(1.0, 2.0), generator.uniform(0.05, 0.13)
    along = generator.random(count)
    angle = along * turns * 2 * np.pi
    hand = generator.choice([-1, 1])
    line = np.column_stack([radius * np.cos(angle), hand * radius * np.sin(angle), height * (along - 0.5)])
    return line + tube * unit_sphere(generator, count)
