"""Points on furniture-like things made of boxes, each of random proportions, in metres."""

import numpy as np

from spikevox.tasks.datasets.solids import Array, Generator, box_surfaces

Box = list[float]


def _legs(width: float, depth: float, height: float, leg: float) -> list[Box]:
    return [
        [x * (width - leg) / 2, y * (depth - leg) / 2, height / 2, leg, leg, height] for x in (-1, 1) for y in (-1, 1)
    ]


def _foot(width: float, depth: float, height: float) -> list[Box]:
    return [[0, 0, height / 2, 0.2, 0.2, height], [0, 0, 0.03, 0.6 * width, 0.6 * depth, 0.06]]


def table(generator: Generator, count: int) -> Array:
    """A top on four legs, or on one foot."""
    width, depth = generator.uniform(1.0, 1.8), generator.uniform(0.9, 1.4)
    height, thickness = generator.uniform(0.6, 1.2), generator.uniform(0.06, 0.14)
    leg = generator.uniform(0.08, 0.16)
    below = _legs(width, depth, height, leg) if generator.random() < 0.75 else _foot(width, depth, height)
    boxes = [[0, 0, height, width, depth, thickness], *below]
    return box_surfaces(generator, count, boxes) - [0, 0, height / 2]


def chair(generator: Generator, count: int) -> Array:
    """A seat with a back, on four legs or one foot, some with arms."""
    width, depth = generator.uniform(0.8, 1.1, 2)
    height, thickness = generator.uniform(0.4, 0.9), generator.uniform(0.06, 0.14)
    leg, back = generator.uniform(0.08, 0.16), generator.uniform(0.5, 1.1)
    below = _legs(width, depth, height, leg) if generator.random() < 0.75 else _foot(width, depth, height)
    boxes = [[0, 0, height, width, depth, thickness], *below]
    boxes.append([0, (depth - thickness) / 2, height + back / 2, width, thickness, back])
    if generator.random() < 0.3:
        boxes += [[s * (width - leg) / 2, 0, height + back / 4, leg, 0.8 * depth, leg] for s in (-1, 1)]
    return box_surfaces(generator, count, boxes) - [0, 0, height / 2]


def stairs(generator: Generator, count: int) -> Array:
    """Three to six steps."""
    steps = int(generator.integers(3, 7))
    width, length, height = generator.uniform(0.7, 1.4), generator.uniform(1.2, 2.0), generator.uniform(0.8, 1.6)
    rise = height / steps * np.arange(1, steps + 1)
    boxes = [
        [0, (i + 0.5) * length / steps - length / 2, rise[i] / 2 - height / 2, width, length / steps, rise[i]]
        for i in range(steps)
    ]
    return box_surfaces(generator, count, boxes)
