"""Voxelisation by a dictionary, point after point; imports nothing of spikevox."""

import math
from fractions import Fraction


def voxel_points(points, voxel_size, origin):
    """Rows of the points of each voxel, as {(x, y, z): [row, ...]}; exact rational arithmetic."""
    voxels = {}
    for row, point in enumerate(points):
        key = tuple(
            math.floor((Fraction(float(p)) - Fraction(str(o))) / Fraction(str(voxel_size)))
            for p, o in zip(point[:3], origin, strict=True)
        )
        voxels.setdefault(key, []).append(row)
    return dict(sorted(voxels.items()))
