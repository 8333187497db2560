"""Pairs of turned boxes of every kind that rounding can mislead, and many of no kind at all."""

import numpy as np


def random_boxes(generator, count, extent=6.0):
    return np.column_stack(
        [
            generator.uniform(-extent, extent, (count, 2)),
            generator.uniform(-1, 1, count),
            generator.uniform(0.3, 6, (count, 3)),
            generator.uniform(-7, 7, count),
        ]
    )


def moved(boxes, along, across=0.0):
    """Boxes moved by these multiples of their own length and width."""
    result = boxes.copy()
    c, s = np.cos(boxes[:, 6]), np.sin(boxes[:, 6])
    result[:, 0] += along * boxes[:, 3] * c - across * boxes[:, 4] * s
    result[:, 1] += along * boxes[:, 3] * s + across * boxes[:, 4] * c
    return result


def changed(boxes, column, values):
    result = boxes.copy()
    result[:, column] = values
    return result


def pairs_of_every_kind(seed, count):
    """Two tables (count, 7) of boxes; a tenth each of the kinds below, in turn."""
    generator = np.random.default_rng(seed)
    size = -(-count // 10)

    def fresh(extent=6.0):
        return random_boxes(generator, size, extent)

    whole = fresh()
    whole[:, :6] = np.ceil(whole[:, :6].clip(0.5) * 2) / 2
    whole[:, 6] = generator.integers(-4, 5, size) * np.pi / 2
    a = [fresh(2), fresh(), fresh(), fresh(), whole, fresh(), fresh(), fresh(1), fresh(), fresh()]
    few = generator.integers(0, 4, size) * np.pi / 2
    thin = changed(a[7], 4, 10 ** generator.uniform(-6, -2, size))
    flat = changed(a[8], generator.integers(3, 6), 0.0)
    far = a[9].copy()
    far[:, :2] += generator.uniform(-1000, 1000, (size, 2))
    a[9] = far
    b = [
        fresh(2),  # at random, most of them overlapping
        a[1].copy(),  # equal
        changed(a[2], 6, a[2][:, 6] + few),  # equal but for quarter turns
        moved(a[3], generator.choice([-1.0, 0, 1], size), generator.choice([-1.0, 1], size)),  # sides or corners touch
        moved(
            whole, generator.choice([-1.0, -0.5, 0.5, 1], size), generator.choice([-1.0, 0, 1], size)
        ),  # on a lattice
        np.column_stack([a[5][:, :3], a[5][:, 3:6] * generator.uniform(0.1, 1, (size, 3)), a[5][:, 6]]),  # nested
        changed(a[6], 6, a[6][:, 6] + 10 ** generator.uniform(-17, -1, size)),  # turned by next to nothing
        moved(thin, 0.1, generator.choice([0.0, 0.3, 1.0], size)),  # thin
        moved(flat, 0.1),  # without area or volume
        moved(far, generator.uniform(-1, 1), generator.uniform(-1, 1)),  # far away
    ]
    a[7] = np.where(np.arange(size)[:, None] % 2, thin, a[7])
    a[8] = np.where(np.arange(size)[:, None] % 2, flat, a[8])
    return np.concatenate(a)[:count], np.concatenate(b)[:count]
