"""Points on made-up scenes: a plane that climbs, and the upright sides of boxes on it, as a sensor in the origin sees them."""

import numpy as np

from spikevox.tasks.datasets import Boxes

STEP = 0.1


def height(xy, slope=0.02, level=-1.8):
    return level + slope * xy[..., 0]


def box(x, y, yaw=0.0, size=(4.5, 1.8, 1.6)):
    """(7,) a box that stands on the plane."""
    return np.array([x, y, height(np.array([x, y])) + size[2] / 2, *size, yaw])


def sides(row, shown="all"):
    """(P, 3) points of the sides: all of them, or those that face the origin."""
    length, width, tall = row[3:6]
    along, across = (np.arange(-extent / 2, extent / 2 + 1e-9, STEP) for extent in (length, width))
    edges = [
        (np.full(len(across), -length / 2), across, (-1, 0)), (np.full(len(across), length / 2), across, (1, 0)),
        (along, np.full(len(along), -width / 2), (0, -1)), (along, np.full(len(along), width / 2), (0, 1)),
    ]  # fmt: skip
    c, s = np.cos(row[6]), np.sin(row[6])
    parts = []
    for x, y, normal in edges:
        outward = np.array([normal[0] * c - normal[1] * s, normal[0] * s + normal[1] * c])
        plan = np.stack([x * c - y * s, x * s + y * c], axis=1) + row[:2]
        if shown == "all" or outward @ plan.mean(axis=0) < 0:
            parts += [np.column_stack([plan, np.full(len(plan), row[2] + z)]) for z in np.linspace(-0.5, 0.5, 9) * tall]
    return np.concatenate(parts)


def plane(reach=20.0, step=0.25, free=()):
    """(P, 3) points of the ground; there are none below the boxes ``free``."""
    grid = np.stack(np.meshgrid(*[np.arange(-reach, reach, step)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    for row in free:
        grid = grid[np.abs(grid - row[:2]).max(axis=1) > max(row[3:5]) / 2]
    return np.column_stack([grid, height(grid)])


def scene(rows, shown="all"):
    return np.concatenate([plane(free=rows), *(sides(row, shown) for row in rows)])


def labelled(rows, names=None):
    rows = np.asarray(rows)
    return Boxes(rows[:, :3], rows[:, 3:6], rows[:, 6], tuple(names or ["car"] * len(rows)))
