"""A thing on a street, and the street that it stands on, at time 0."""

from dataclasses import dataclass, field

import numpy as np

from spikevox.tasks.datasets.street.ground import Ground
from spikevox.tasks.datasets.street.objects import MAKERS, Part
from spikevox.tasks.datasets.street.primitives import Array

Generator = np.random.Generator
LEFT, RIGHT = 1, -1


@dataclass(frozen=True)
class Thing:
    """An object of a street.

    Attributes:
        name: class.
        parts: solids in the object's own axes.
        along: metres along x at time 0.
        offset: metres to the left of the road's middle at time 0.
        turn: radians between the road and the object.
        size: length, width and height of its box, ``None`` where it has none.
        speed: m/s along x and to the left.
        albedo: factor of its intensities.
    """

    name: str
    parts: list[Part]
    along: float
    offset: float
    turn: float = 0.0
    size: tuple[float, float, float] | None = None
    speed: tuple[float, float] = (0.0, 0.0)
    albedo: float = 1.0


@dataclass(frozen=True)
class StreetLayout:
    """A street at time 0.

    Attributes:
        ground: heights and surfaces.
        things: everything on it.
        lane: metres to the left of the road's middle at which the ego vehicle drives.
        speed: m/s of the ego vehicle along x.
    """

    ground: Ground
    lane: float
    speed: float
    things: list[Thing] = field(default_factory=list)


def boxed_thing(name: str, generator: Generator, along: float, offset: float, **options: object) -> Thing:
    """A new vehicle, person or cone of a class of MAKERS; options are those of Thing."""
    shape = MAKERS[name](generator)
    albedo = float(np.exp(generator.normal(0, 0.3)))
    return Thing(name, shape.parts, along, offset, size=shape.size, albedo=albedo, **options)  # type: ignore[arg-type]


def is_clear(layout: StreetLayout, along: float, margin: float) -> bool:
    """Whether a place along the road is at least a margin away from all crossing roads."""
    crossings = layout.ground.crossings
    return bool((np.abs(along - crossings[:, 0]) > crossings[:, 1] + margin).all())


def apart(things: list[Thing]) -> list[Thing]:
    """Things without those that stand in one named before them; leaves may hang over anything."""
    reach = np.array([_footprint(thing) for thing in things]).reshape(-1, 4)
    place = np.array([(thing.along, thing.offset) for thing in things]).reshape(-1, 2)
    low, high = place + reach[:, :2], place + reach[:, 2:]
    kept: list[int] = []
    for row in range(len(things)):
        others = np.array(kept, dtype=np.int64)
        meets = ((low[row] < high[others]) & (high[row] > low[others])).all(axis=1)
        if not meets.any() or things[row].name in ("building", "wall", "fence"):
            kept.append(row)
    return [things[row] for row in kept]


def _footprint(thing: Thing) -> Array:
    """(4,) least and largest reach along and across the road, in metres, of what a person could walk into."""
    c, s = abs(np.cos(thing.turn)), abs(np.sin(thing.turn))
    if thing.size is not None:
        half = np.array([thing.size[0] * c + thing.size[1] * s, thing.size[0] * s + thing.size[1] * c]) / 2
        return np.concatenate([-half, half])
    # Scenery stands along the road, one way or the other.
    low = [part for part in thing.parts if part.center[2] - part.size[2] / 2 < 2.0 and np.isinf(part.density)]
    if not low:
        return np.zeros(4)
    middle = np.array([part.center[:2] for part in low]) * np.cos(thing.turn)
    half = np.array([part.size[:2] for part in low]) / 2
    return np.concatenate([(middle - half).min(axis=0), (middle + half).max(axis=0)])
