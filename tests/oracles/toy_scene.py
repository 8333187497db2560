"""Scenes of a ground, a wall and boxes, whose points carry numbers of their own kind as labels."""

import numpy as np

NUMBERS = {"ground": 40, "wall": 50, "box": 10, "other box": 252, "unlabelled": 0}


def scene(seed, points=400):
    """Points (P, 4) float32 with intensity, and labels (P,) int64; a hundredth is unlabelled."""
    generator = np.random.default_rng(seed)
    part = generator.integers(0, 4, points)
    xyz = generator.uniform(-4, 4, (points, 3))
    xyz[part == 0, 2] = 0
    xyz[part == 1, 1], xyz[part == 1, 2] = 4, generator.uniform(0, 3, (part == 1).sum())
    for box, corner in ((2, (-2, -2, 0)), (3, (2, 1, 0))):
        count = (part == box).sum()
        inside = generator.uniform(0, 1, (count, 3))
        # On a side: one coordinate is 0 or 1.
        inside[np.arange(count), generator.integers(0, 3, count)] = generator.integers(0, 2, count)
        xyz[part == box] = np.array(corner) + inside
    labels = np.array([40, 50, 10, 252])[part]
    labels[generator.random(points) < 0.01] = 0
    intensity = part / 4 + generator.normal(0, 0.02, points)
    return np.column_stack([xyz, intensity]).astype(np.float32), labels.astype(np.int64)
