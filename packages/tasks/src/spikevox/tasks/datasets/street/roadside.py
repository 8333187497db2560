"""What stands beside a road: buildings, yards, street furniture, building sites."""

from collections.abc import Iterator

import numpy as np

from spikevox.tasks.datasets.street import scenery
from spikevox.tasks.datasets.street.style import StreetStyle
from spikevox.tasks.datasets.street.thing import LEFT, RIGHT, Generator, StreetLayout, Thing, boxed_thing, is_clear


def frontage(layout: StreetLayout, style: StreetStyle, generator: Generator) -> Iterator[Thing]:
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
            if not is_clear(layout, middle, length / 2 + ground.sidewalk):
                continue
            if generator.random() < style.building_gap:
                yield from _gap(layout, style, generator, middle, side, length)
                continue
            depth, height = generator.uniform(9, 14), generator.uniform(*style.building_height)
            parts = scenery.building(generator, length, depth, height)
            albedo = float(np.exp(generator.normal(0, 0.25)))
            yield Thing("building", parts, middle, side * (edge + setback + depth / 2 + 0.5), turn, albedo=albedo)
            if setback > 1.5 and generator.random() < 0.6:
                yield _barrier(generator, middle, side * (edge + 0.4), length * 0.8, turn)


def _barrier(generator: Generator, along: float, offset: float, length: float, turn: float) -> Thing:
    name, maker = [
        ("wall", scenery.wall),
        ("fence", scenery.fence),
        ("vegetation", scenery.hedge),
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
        yield boxed_thing("car", generator, along, side * (edge + 4.5), turn=heading)
    for _ in range(int(generator.poisson(1.5))):
        spread = generator.uniform(-length / 2, length / 2)
        parts = scenery.tree(generator, generator.uniform(5, 12))
        yield Thing("vegetation", parts, middle + spread, side * (edge + generator.uniform(9, 16)))
    yield Thing("building", scenery.building(generator, length, 8, 7), middle, side * (edge + 24), turn)


def sidewalks(layout: StreetLayout, style: StreetStyle, generator: Generator) -> Iterator[Thing]:
    """Lamp posts, signs, trees and small things along the kerb and behind the sidewalk."""
    ground = layout.ground
    kerb, back = ground.half_road + 0.6, ground.half_road + ground.sidewalk - 0.4
    span = 2 * style.length + 100
    scale = span / 100
    for side in (LEFT, RIGHT):
        turn = 0.0 if side == LEFT else np.pi
        kinds = [
            ("pole", scenery.pole, 3.0, kerb),
            ("sign", scenery.sign, 2.0, kerb),
            ("other_static", scenery.small_thing, 2.5, back),
            ("vegetation", scenery.bush, style.trees / 3, back),
            ("vegetation", lambda g: scenery.tree(g, g.uniform(4, 10)), style.trees, kerb),
        ]
        for name, maker, rate, offset in kinds:
            for along in generator.uniform(-style.length, style.length + 100, int(generator.poisson(rate * scale))):
                if not is_clear(layout, float(along), 1.5):
                    continue
                # Signs look at the traffic of their own side.
                facing = (0.0 if side == RIGHT else np.pi) if name == "sign" else turn
                yield Thing(name, maker(generator), float(along), side * offset, facing)


def building_site(layout: StreetLayout, style: StreetStyle, generator: Generator) -> Iterator[Thing]:
    """A building site beside the road: boards, a machine, cones."""
    if generator.random() > style.sites:
        return
    ground = layout.ground
    side = int(generator.choice([LEFT, RIGHT]))
    middle = generator.uniform(-25, 25)
    edge = ground.half_road + ground.sidewalk
    turn = 0.0 if side == LEFT else np.pi
    length = generator.uniform(12, 30)
    yield Thing("other_static", scenery.hoarding(generator, length), middle, side * (edge + 0.2), turn)
    for _ in range(int(generator.integers(4, 8))):
        along = middle + length / 2 + generator.uniform(4, 50)
        place = boxed_thing("construction_vehicle", generator, along, side * (ground.half_road + 1.4), turn=turn)
        yield place
    for step in range(int(generator.integers(3, 9))):
        yield boxed_thing("cone", generator, middle - length / 2 + 2.5 * step, side * (ground.half_road + 0.3))
