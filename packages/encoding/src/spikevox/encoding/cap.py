"""Caps on the points of a voxel and on the voxels of a cloud."""

import numpy as np

from spikevox.encoding.grouping import Groups


def cap_points(groups: Groups, max_points: int, generator: np.random.Generator | None) -> Groups:
    """Keeps at most ``max_points`` rows a group: the first ones, or random ones with a generator."""
    rows = groups.rows
    if generator is not None:
        # Shuffled inside each group, the first ones are random ones.
        rows = rows[np.lexsort((generator.random(len(rows)), groups.members))]
    rank = np.arange(len(rows)) - np.repeat(groups.starts, groups.sizes)
    kept = rank < max_points
    sizes = np.minimum(groups.sizes, max_points)
    rows, members = rows[kept], groups.members[kept]
    if generator is not None:
        rows = rows[np.lexsort((rows, members))]
    return Groups(rows, np.cumsum(sizes) - sizes, sizes)


def cap_voxels(groups: Groups, max_voxels: int, choice: str, generator: np.random.Generator | None) -> Groups:
    """Keeps at most ``max_voxels`` groups: those met first, random ones, or those with most rows."""
    count = len(groups.starts)
    if count <= max_voxels:
        return groups
    first = np.minimum.reduceat(groups.rows, groups.starts)
    if choice == "random" and generator is not None:
        order = generator.permutation(count)
    elif choice == "most_points":
        order = np.lexsort((first, -groups.sizes))
    else:
        order = np.argsort(first)
    kept = np.zeros(count, dtype=bool)
    kept[order[:max_voxels]] = True
    sizes = groups.sizes[kept]
    return Groups(groups.rows[np.repeat(kept, groups.sizes)], np.cumsum(sizes) - sizes, sizes)
