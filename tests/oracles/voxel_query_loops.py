"""Voxels around points, found by looking at every neighbour in turn, as the published detector's CUDA code scans."""

import math


def query(points, samples, sites, cell, radius, reach, most):
    """Rows of the first ``most`` voxels of each point, in order of z, then y, then x."""
    rows = {tuple(site): row for row, site in enumerate(sites)}
    result = []
    for point, sample in zip(points, samples, strict=True):
        home = [math.floor(p / c) for p, c in zip(point, cell, strict=True)]
        found = []
        for dz in range(-reach, reach + 1):
            for dy in range(-reach, reach + 1):
                for dx in range(-reach, reach + 1):
                    place = (home[0] + dx, home[1] + dy, home[2] + dz)
                    row = rows.get((sample, *place))
                    if row is None or len(found) == most:
                        continue
                    middle = [(v + 0.5) * c for v, c in zip(place, cell, strict=True)]
                    if math.dist(middle, point) < radius:
                        found.append(row)
        result.append(found + [-1] * (most - len(found)))
    return result
