"""Fewer points of a cloud, and points of a surface."""

import numpy as np
from numpy.typing import NDArray


def farthest_points(xyz: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """Rows of ``count`` points, each the farthest from those before it; the first is the farthest from the centroid.

    Looks at coordinates alone, whatever else a point carries. Takes O(P x count) steps; of equal distances the first row
    is taken.

    Args:
        xyz: (P, 3) coordinates, P >= count.
        count: rows wanted.

    Raises:
        ValueError: ``count`` outside 1 to P, or another shape.

    Example:
        >>> farthest_points(np.array([[0.0, 0, 0], [1, 0, 0], [9, 0, 0]]), 2)
        array([2, 0])
    """
    if xyz.ndim != 2 or xyz.shape[1] != 3:
        raise ValueError(f"expected coordinates (P, 3), got {xyz.shape}.")
    if not 1 <= count <= len(xyz):
        raise ValueError(f"count must lie between 1 and the {len(xyz)} points, got {count}.")
    axes = [np.ascontiguousarray(axis, dtype=np.float64) for axis in xyz.T]

    def squared_distances(to: NDArray[np.floating] | list[float]) -> NDArray[np.float64]:
        x, y, z = (axis - value for axis, value in zip(axes, to, strict=True))
        return np.asarray(x * x + y * y + z * z)

    rows = np.empty(count, dtype=np.int64)
    rows[0] = int(squared_distances([axis.mean() for axis in axes]).argmax())
    nearest = np.full(len(xyz), np.inf)
    for i in range(1, count):
        chosen = rows[i - 1]
        np.minimum(nearest, squared_distances([axis[chosen] for axis in axes]), out=nearest)
        # Also among equal points none is taken twice.
        nearest[chosen] = -1.0
        rows[i] = int(nearest.argmax())
    return rows


def sample_surface(
    vertices: NDArray[np.floating], triangles: NDArray[np.integer], count: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Points (count, 3) spread evenly over a mesh: triangles drawn by their area, then a uniform point in each.

    Args:
        vertices: (V, 3).
        triangles: (F, 3) rows of vertices.
        count: points wanted.
        generator: same state, same points.

    Raises:
        ValueError: a mesh without area.
    """
    corners = vertices[triangles].astype(np.float64)
    one, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas = np.linalg.norm(np.cross(one, other), axis=1)
    if not (len(areas) and np.isfinite(areas).all() and areas.sum() > 0):
        raise ValueError(f"the mesh has {len(triangles)} triangles and no area.")
    drawn = generator.choice(len(areas), count, p=areas / areas.sum())
    u, v = generator.random((2, count))
    # Points of the parallelogram's far half are folded back into the triangle.
    outside = u + v > 1
    u[outside], v[outside] = 1 - u[outside], 1 - v[outside]
    return np.asarray(corners[drawn, 0] + u[:, None] * one[drawn] + v[:, None] * other[drawn])
