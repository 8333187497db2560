"""What stands still beside a street: buildings, walls, fences, trees, poles, signs and small things."""

import numpy as np

from spikevox.tasks.datasets.street.objects import Part
from spikevox.tasks.datasets.street.primitives import BOX, CYLINDER, ELLIPSOID

Generator = np.random.Generator
# Scenery reaches this far under the ground of its middle, so that none floats on a slope.
FOOT = 2.0


def _standing(size: tuple[float, float, float], material: str, x: float = 0.0, y: float = 0.0) -> Part:
    """A box on the ground that goes on below it."""
    length, width, height = size
    return Part(BOX, (x, y, (height - FOOT) / 2), (length, width, height + FOOT), material)


def building(generator: Generator, length: float, depth: float, height: float) -> list[Part]:
    """A front along x, the street at negative y: bays, a door step and a garage door break it."""
    facade = str(generator.choice(["plaster", "brick", "concrete"]))
    parts = [_standing((length, depth, height), facade)]
    for place in np.arange(-length / 2 + 1.8, length / 2 - 1.5, generator.uniform(3.0, 5.0)):
        kind = generator.integers(0, 4)
        front = -depth / 2
        if kind == 0:
            bay = (2.2, 1.0, height - 2.8)
            parts.append(Part(BOX, (place, front, 2.8 + bay[2] / 2), bay, facade))
        elif kind == 1:
            parts.append(_standing((1.6, 0.8, 0.5), "concrete", place, front - 0.4))
            parts.append(Part(BOX, (place, front, 1.5), (1.0, 0.06, 2.0), "bark"))
        elif kind == 2:
            parts.append(Part(BOX, (place, front, 1.1), (2.4, 0.08, 2.2), "sheet"))
        else:
            parts.append(Part(BOX, (place, front, 1.7), (1.6, 0.06, 1.4), "window"))
    return parts


def wall(generator: Generator, length: float) -> list[Part]:
    """A garden wall along x."""
    return [_standing((length, 0.25, generator.uniform(0.8, 2.2)), str(generator.choice(["brick", "concrete"])))]


def fence(generator: Generator, length: float) -> list[Part]:
    """Boards, or a mesh that lets rays through, along x between posts."""
    height, mesh = generator.uniform(1.0, 2.2), generator.random() < 0.5
    panel = Part(
        BOX, (0, 0, height / 2), (length, 0.08, height), "steel" if mesh else "bark", density=6.0 if mesh else np.inf
    )
    posts = np.linspace(-length / 2, length / 2, max(2, int(length / 3)))
    return [panel, *(Part(BOX, (x, 0, height / 2 - 0.3), (0.1, 0.1, height + 0.6), "steel") for x in posts)]


def hedge(generator: Generator, length: float) -> list[Part]:
    """A dense box of leaves along x."""
    height, width = generator.uniform(0.8, 2.0), generator.uniform(0.6, 1.2)
    return [Part(BOX, (0, 0, height / 2 - 0.1), (length, width, height + 0.2), "leaf", density=4.0)]


def tree(generator: Generator, height: float) -> list[Part]:
    """A trunk under two to four porous balls of leaves."""
    clear, thickness = height * generator.uniform(0.28, 0.4), 0.03 * height + generator.uniform(0.05, 0.15)
    trunk = Part(CYLINDER, (0, 0, (clear + 1) / 2 - 0.5), (thickness, thickness, clear + 2), "bark", name="trunk")
    parts = [trunk]
    radius = 0.22 * height
    for _ in range(int(generator.integers(2, 5))):
        x, y = generator.normal(0, 0.35 * radius, 2)
        size = radius * generator.uniform(1.3, 2.0)
        z = generator.uniform(clear + size * 0.35, max(height - size / 2, clear + size * 0.4))
        parts.append(Part(ELLIPSOID, (x, y, z), (size, size, size * 0.9), "leaf", density=generator.uniform(0.5, 1.5)))
    return parts


def bush(generator: Generator) -> list[Part]:
    """A ball of leaves on the ground."""
    width, height = generator.uniform(0.8, 2.0), generator.uniform(0.6, 1.6)
    return [Part(ELLIPSOID, (0, 0, height * 0.4), (width, width, height), "leaf", density=4.0)]


def pole(generator: Generator) -> list[Part]:
    """A lamp post with its arm over the road at negative y."""
    height, arm = generator.uniform(5.5, 8.5), generator.uniform(1.0, 2.5)
    return [
        Part(CYLINDER, (0, 0, height / 2 - 0.2), (0.2, 0.2, height + 0.4), "steel"),
        Part(BOX, (0, -arm / 2, height), (0.12, arm, 0.1), "steel"),
        Part(BOX, (0, -arm, height - 0.05), (0.3, 0.7, 0.15), "steel"),
    ]


def sign(generator: Generator) -> list[Part]:
    """A plate that looks along negative x, on a thin post."""
    height, width = generator.uniform(2.0, 3.0), generator.uniform(0.6, 0.9)
    return [
        Part(CYLINDER, (0, 0, height / 2 - 0.2), (0.08, 0.08, height + 0.4), "steel", name="pole"),
        Part(BOX, (-0.06, 0, height - width / 2), (0.03, width, width), "retroreflector"),
    ]


def small_thing(generator: Generator) -> list[Part]:
    """A bin, a bench, a hydrant, a cabinet or a container."""
    kind = int(generator.integers(0, 5))
    if kind == 0:
        return [Part(CYLINDER, (0, 0, 0.5), (0.55, 0.55, 1.1), "steel")]
    if kind == 1:
        return [
            Part(BOX, (0, 0, 0.45), (1.6, 0.45, 0.08), "bark"),
            Part(BOX, (0, 0.2, 0.75), (1.6, 0.06, 0.45), "bark"),
            *(Part(BOX, (x, 0, 0.15), (0.08, 0.4, 0.55), "steel") for x in (-0.7, 0.7)),
        ]
    if kind == 2:
        return [Part(CYLINDER, (0, 0, 0.35), (0.25, 0.25, 0.8), "signal_paint")]
    if kind == 3:
        return [Part(BOX, (0, 0, 0.55), (0.9, 0.45, 1.3), "sheet")]
    return [Part(BOX, (0, 0, 0.7), (2.0, 1.3, 1.6), "sheet")]


def hoarding(generator: Generator, length: float) -> list[Part]:
    """Boards around a building site, along x."""
    return [_standing((length, 0.1, generator.uniform(1.8, 2.8)), "tarpaulin")]
