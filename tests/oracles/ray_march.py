"""Where a ray meets a solid, by walking along it in small steps: slow and plain."""

import numpy as np


def inside(shape: str, center, half, yaw, taper, points):
    """Which of the points (P, 3) lie in one upright solid."""
    moved = points - np.asarray(center)
    x = moved[:, 0] * np.cos(yaw) + moved[:, 1] * np.sin(yaw)
    y = -moved[:, 0] * np.sin(yaw) + moved[:, 1] * np.cos(yaw)
    z = moved[:, 2]
    if shape == "ellipsoid":
        return (x / half[0]) ** 2 + (y / half[1]) ** 2 + (z / half[2]) ** 2 <= 1
    if shape == "cylinder":
        return ((x / half[0]) ** 2 + (y / half[1]) ** 2 <= 1) & (np.abs(z) <= half[2])
    up = z + half[2]
    return (np.abs(z) <= half[2]) & (np.abs(x) <= half[0] - taper[0] * up) & (np.abs(y) <= half[1] - taper[1] * up)


def first_solid(solids, direction, step, reach):
    """Horizontal distance to the first solid along a ray from the origin, and which; infinite and -1 for none.

    ``direction`` is (azimuth, elevation) in radians; solids are tuples as ``inside`` takes them.
    """
    azimuth, elevation = direction
    distance = np.arange(step, reach, step)
    points = np.stack(
        [distance * np.cos(azimuth), distance * np.sin(azimuth), distance * np.tan(elevation)],
        axis=1,
    )
    best, which = np.inf, -1
    for number, solid in enumerate(solids):
        hit = np.flatnonzero(inside(*solid, points))
        if len(hit) and distance[hit[0]] < best:
            best, which = distance[hit[0]], number
    return best, which


def first_ground(height, place, direction, step, reach):
    """Horizontal distance at which a ray from ``place`` first lies under ``height(x, y)``; infinite for never."""
    azimuth, elevation = direction
    distance = np.arange(step, reach, step)
    x, y = place[0] + distance * np.cos(azimuth), place[1] + distance * np.sin(azimuth)
    under = np.flatnonzero(place[2] + distance * np.tan(elevation) <= height(x, y))
    return distance[under[0]] if len(under) else np.inf
