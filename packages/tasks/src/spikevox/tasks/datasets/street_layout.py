"""What a street holds and where: everything that its seed decides once."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from spikevox.tasks.datasets import street_scenery
from spikevox.tasks.datasets.primitives import Array
from spikevox.tasks.datasets.street_ground import Ground
from spikevox.tasks.datasets.street_objects import MAKERS, Part

Generator = np.random.Generator
LEFT, RIGHT = 1, -1


@dataclass(frozen=True)
class StreetStyle:
    """How full a street is.

    Attributes:
        length: metres of street ahead of and behind the ego vehicle.
        parked: share of the places for parked vehicles that are taken.
        yard: mean number of vehicles parked in a gap between buildings.
        traffic: mean metres between vehicles on a lane.
        people: mean number of pedestrians on 100 m of a sidewalk.
        riders: mean number of cyclists and motorcyclists on 100 m of street.
        building_gap: share of the frontage that has no building.
        building_height: least and largest height, in metres.
        setback: least and largest distance from the sidewalk to the buildings, in metres.
        trees: mean number of trees on 100 m of a sidewalk.
        sites: chance that a building site takes a part of the street.
        slope: largest slope of the street, metres a metre.
        speed: largest speed of traffic, in m/s.
    """

    length: float = 150.0
    parked: float = 0.75
    yard: float = 3.0
    traffic: float = 40.0
    people: float = 1.8
    riders: float = 0.3
    building_gap: float = 0.4
    building_height: tuple[float, float] = (3.5, 8.0)
    setback: tuple[float, float] = (0.0, 12.0)
    trees: float = 3.0
    sites: float = 0.9
    slope: float = 0.02
    speed: float = 12.0


CITY = StreetStyle()
SUBURB = StreetStyle(
    parked=0.05, yard=0.2, traffic=130.0, people=0.8, riders=0.25, building_gap=0.4, building_height=(4.0, 9.0),
    setback=(2.0, 9.0), trees=4.0, sites=0.1, slope=0.012,
)  # fmt: skip


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


def lay_out(style: StreetStyle, generator: Generator) -> StreetLayout:
    """A street, a function of the style and the generator's state."""
    ground = _ground(style, generator)
    speed = style.speed * generator.uniform(0.0, 1.0) * (generator.random() < 0.8)
    layout = StreetLayout(ground, -(ground.island + ground.lane_width * (0.5 - (ground.lanes % 2) / 2)), speed)
    things: list[Thing] = []
    for maker in (_traffic, _site, _parked, _frontage, _sidewalks, _people, _riders):
        things.extend(maker(layout, style, generator))
    layout.things.extend(_apart(things))
    return layout


def _apart(things: list[Thing]) -> list[Thing]:
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


def _ground(style: StreetStyle, generator: Generator) -> Ground:
    lanes = int(generator.choice([1, 2, 2, 2, 3, 4]))
    waves = [
        (generator.uniform(0.1, 0.5), generator.uniform(0.01, 0.04), generator.uniform(-0.02, 0.02), generator.uniform(0, 6)),
        (generator.uniform(0.01, 0.03), generator.uniform(0.3, 0.8), generator.uniform(-0.5, 0.5), generator.uniform(0, 6)),
    ]  # fmt: skip
    places = np.cumsum(generator.uniform(60, 140, 5)) - generator.uniform(100, 220)
    return Ground(
        lanes=lanes,
        lane_width=generator.uniform(3.1, 4.0),
        parking=2.3 if lanes == 1 or generator.random() < 0.75 else 0.0,
        sidewalk=generator.uniform(1.8, 4.0),
        kerb=generator.uniform(0.1, 0.18),
        bend=generator.uniform(-1, 1) / 900,
        slope=(generator.uniform(-1, 1) * style.slope, generator.uniform(-1, 1) * style.slope),
        waves=np.array(waves),
        crossings=np.column_stack([places, generator.uniform(4.0, 9.0, len(places))]),
        island=1.0 if lanes == 4 and generator.random() < 0.6 else 0.0,
    )


def _object(name: str, generator: Generator, along: float, offset: float, **options: object) -> Thing:
    shape = MAKERS[name](generator)
    albedo = float(np.exp(generator.normal(0, 0.3)))
    return Thing(name, shape.parts, along, offset, size=shape.size, albedo=albedo, **options)  # type: ignore[arg-type]


def _clear(layout: StreetLayout, along: float, margin: float) -> bool:
    """Whether a place along the road is at least a margin away from all crossing roads."""
    crossings = layout.ground.crossings
    return bool((np.abs(along - crossings[:, 0]) > crossings[:, 1] + margin).all())


def _traffic(layout: StreetLayout, style: StreetStyle, generator: Generator) -> Iterator[Thing]:
    ground = layout.ground
    names = ["car", "van", "pickup", "truck", "bus", "motorcyclist"]
    for lane in range(ground.lanes):
        side = RIGHT if lane < (ground.lanes + 1) // 2 else LEFT
        rank = lane if side == RIGHT else lane - (ground.lanes + 1) // 2
        shift = side * (ground.lanes % 2) / 2
        offset = side * (ground.island + ground.lane_width * (rank + 0.5 + shift))
        own = abs(offset - layout.lane) < 0.1
        # All of a lane keep one speed, so that none drives through another.
        speed = layout.speed if own else -side * style.speed * generator.uniform(0, 1)
        along = -style.length
        while (along := along + 9 + generator.exponential(style.traffic)) < style.length + 100:
            if own and abs(along) < 15:
                continue
            name = str(generator.choice(names, p=[0.78, 0.06, 0.06, 0.05, 0.02, 0.03]))
            turn = 0.0 if side == RIGHT else np.pi
            yield _object(name, generator, along, offset, turn=turn, speed=(speed, 0.0))
            along += 6 if name in ("truck", "bus") else 0


def _parked(layout: StreetLayout, style: StreetStyle, generator: Generator) -> Iterator[Thing]:
    ground = layout.ground
    names = ["car", "van", "pickup", "truck", "motorcycle"]
    for side in (LEFT, RIGHT):
        along = -style.length
        while ground.parking and along < style.length + 100:
            name = str(generator.choice(names, p=[0.79, 0.05, 0.05, 0.05, 0.06]))
            along += {"truck": 10.5, "motorcycle": 4.2}.get(name, 6.6)
            if generator.random() < style.parked and _clear(layout, along, 9):
                offset = side * (ground.half_road - 1.15 + generator.uniform(-0.1, 0.1))
                turn = (np.pi if side == LEFT else 0.0) + generator.normal(0, 0.02)
                yield _object(name, generator, along, offset, turn=turn)
    for place, half in ground.crossings:
        for side in (LEFT, RIGHT):
            for offset in np.arange(ground.half_road + 9, 70, 6.6):
                if generator.random() < style.parked:
                    left = float(side * offset)
                    across = place + generator.choice([-1, 1]) * (half - 1.0)
                    yield _object("car", generator, across, left, turn=np.pi / 2 + generator.normal(0, 0.02))


def _frontage(layout: StreetLayout, style: StreetStyle, generator: Generator) -> Iterator[Thing]:
    """Buildings side by side, and what stands in the gaps between them."""
    ground = layout.ground
    edge = ground.half_road + ground.sidewalk
    for side in (LEFT, RIGHT):
        turn = 0.0 if side == LEFT else np.pi
        along = -style.length - 20
        while along < style.length + 100:
            length = generator.uniform(8, 22)
            middle, setback = along + length / 2, generator.uniform(*style.setback)
            along += length
            if not _clear(layout, middle, length / 2 + ground.sidewalk):
                continue
            if generator.random() < style.building_gap:
                yield from _gap(layout, style, generator, middle, side, length)
                continue
            depth, height = generator.uniform(9, 14), generator.uniform(*style.building_height)
            parts = street_scenery.building(generator, length, depth, height)
            albedo = float(np.exp(generator.normal(0, 0.25)))
            yield Thing("building", parts, middle, side * (edge + setback + depth / 2 + 0.5), turn, albedo=albedo)
            if setback > 1.5 and generator.random() < 0.6:
                yield _barrier(generator, middle, side * (edge + 0.4), length * 0.8, turn)


def _barrier(generator: Generator, along: float, offset: float, length: float, turn: float) -> Thing:
    name, maker = [
        ("wall", street_scenery.wall),
        ("fence", street_scenery.fence),
        ("vegetation", street_scenery.hedge),
    ][int(generator.integers(0, 3))]
    return Thing(name, maker(generator, length), along, offset, turn)


def _gap(
    layout: StreetLayout, style: StreetStyle, generator: Generator, middle: float, side: int, length: float
) -> Iterator[Thing]:
    """A yard with vehicles and trees, often behind a fence, and a wall at its back."""
    edge = layout.ground.half_road + layout.ground.sidewalk
    turn = 0.0 if side == LEFT else np.pi
    if generator.random() < 0.4:
        yield _barrier(generator, middle, side * (edge + 0.4), length, turn)
    count = min(int(generator.poisson(style.yard)), int(length / 2.8))
    for place in range(count):
        along = middle - length / 2 + 2.2 + 2.8 * place
        heading = side * np.pi / 2 + generator.normal(0, 0.03)
        yield _object("car", generator, along, side * (edge + 4.5), turn=heading)
    for _ in range(int(generator.poisson(1.5))):
        spread = generator.uniform(-length / 2, length / 2)
        parts = street_scenery.tree(generator, generator.uniform(5, 12))
        yield Thing("vegetation", parts, middle + spread, side * (edge + generator.uniform(9, 16)))
    yield Thing("building", street_scenery.building(generator, length, 8, 7), middle, side * (edge + 24), turn)


def _sidewalks(layout: StreetLayout, style: StreetStyle, generator: Generator) -> Iterator[Thing]:
    """Lamp posts, signs, trees and small things along the kerb and behind the sidewalk."""
    ground = layout.ground
    kerb, back = ground.half_road + 0.6, ground.half_road + ground.sidewalk - 0.4
    span = 2 * style.length + 100
    scale = span / 100
    for side in (LEFT, RIGHT):
        turn = 0.0 if side == LEFT else np.pi
        kinds = [
            ("pole", street_scenery.pole, 3.0, kerb),
            ("sign", street_scenery.sign, 2.0, kerb),
            ("other_static", street_scenery.small_thing, 2.5, back),
            ("vegetation", street_scenery.bush, style.trees / 3, back),
            ("vegetation", lambda g: street_scenery.tree(g, g.uniform(4, 10)), style.trees, kerb),
        ]
        for name, maker, rate, offset in kinds:
            for along in generator.uniform(-style.length, style.length + 100, int(generator.poisson(rate * scale))):
                if not _clear(layout, float(along), 1.5):
                    continue
                # Signs look at the traffic of their own side.
                facing = (0.0 if side == RIGHT else np.pi) if name == "sign" else turn
                yield Thing(name, maker(generator), float(along), side * offset, facing)


def _people(layout: StreetLayout, style: StreetStyle, generator: Generator) -> Iterator[Thing]:
    ground = layout.ground
    span = 2 * style.length + 100
    for side in (LEFT, RIGHT):
        for along in generator.uniform(
            -style.length, style.length + 100, int(generator.poisson(style.people * span / 100))
        ):
            offset = side * (ground.half_road + generator.uniform(1.0, max(ground.sidewalk - 0.9, 1.1)))
            pace = generator.uniform(0.8, 1.6) * generator.choice([-1, 0, 1], p=[0.35, 0.3, 0.35])
            turn = 0.0 if pace > 0 else np.pi
            if pace == 0:
                turn = generator.uniform(0, 2 * np.pi)
            yield _object("pedestrian", generator, float(along), offset, turn=turn, speed=(float(pace), 0.0))
        for along in generator.uniform(-style.length, style.length + 100, int(generator.poisson(0.045 * span / 100))):
            offset = side * (ground.half_road + 0.5)
            yield _object("bicycle", generator, float(along), offset, turn=generator.normal(0, 0.2))


def _riders(layout: StreetLayout, style: StreetStyle, generator: Generator) -> Iterator[Thing]:
    ground = layout.ground
    span = 2 * style.length + 100
    for along in generator.uniform(
        -style.length, style.length + 100, int(generator.poisson(style.riders * span / 100))
    ):
        side = int(generator.choice([LEFT, RIGHT]))
        # Beside the traffic: between the outer lane and the parked vehicles, or at the kerb.
        offset = side * (ground.half_road - ground.parking - 0.45)
        pace = generator.uniform(3.0, 6.0)
        turn = 0.0 if side == RIGHT else np.pi
        yield _object("cyclist", generator, float(along), offset, turn=turn, speed=(-side * float(pace), 0.0))


def _site(layout: StreetLayout, style: StreetStyle, generator: Generator) -> Iterator[Thing]:
    """A building site beside the road: boards, a machine, cones."""
    if generator.random() > style.sites:
        return
    ground = layout.ground
    side = int(generator.choice([LEFT, RIGHT]))
    middle = generator.uniform(-25, 25)
    edge = ground.half_road + ground.sidewalk
    turn = 0.0 if side == LEFT else np.pi
    length = generator.uniform(12, 30)
    yield Thing("other_static", street_scenery.hoarding(generator, length), middle, side * (edge + 0.2), turn)
    for _ in range(int(generator.integers(3, 7))):
        along = middle + length / 2 + generator.uniform(4, 50)
        place = _object("construction_vehicle", generator, along, side * (ground.half_road + 1.4), turn=turn)
        yield place
    for step in range(int(generator.integers(3, 9))):
        yield _object("cone", generator, middle - length / 2 + 2.5 * step, side * (ground.half_road + 0.3))
