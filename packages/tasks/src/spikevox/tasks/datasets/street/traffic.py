"""Vehicles and people of a street."""

from collections.abc import Iterator

import numpy as np

from spikevox.tasks.datasets.street.style import StreetStyle
from spikevox.tasks.datasets.street.thing import LEFT, RIGHT, Generator, StreetLayout, Thing, boxed_thing, is_clear


def traffic(layout: StreetLayout, style: StreetStyle, generator: Generator) -> Iterator[Thing]:
    """Vehicles on the lanes."""
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
            name = str(generator.choice(names, p=[0.78, 0.05, 0.07, 0.06, 0.01, 0.03]))
            turn = 0.0 if side == RIGHT else np.pi
            yield boxed_thing(name, generator, along, offset, turn=turn, speed=(speed, 0.0))
            along += 6 if name in ("truck", "bus") else 0


def parked(layout: StreetLayout, style: StreetStyle, generator: Generator) -> Iterator[Thing]:
    """Vehicles on the parking strips and along the crossing roads."""
    ground = layout.ground
    names = ["car", "van", "pickup", "truck", "motorcycle"]
    for side in (LEFT, RIGHT):
        along = -style.length
        while ground.parking and along < style.length + 100:
            name = str(generator.choice(names, p=[0.74, 0.04, 0.07, 0.05, 0.1]))
            along += {"truck": 10.5, "motorcycle": 4.2}.get(name, 6.6)
            if generator.random() < style.parked and is_clear(layout, along, 9):
                offset = side * (ground.half_road - 1.15 + generator.uniform(-0.1, 0.1))
                turn = (np.pi if side == LEFT else 0.0) + generator.normal(0, 0.02)
                yield boxed_thing(name, generator, along, offset, turn=turn)
    for place, half in ground.crossings:
        for side in (LEFT, RIGHT):
            for offset in np.arange(ground.half_road + 9, 70, 6.6):
                if generator.random() < style.parked:
                    left = float(side * offset)
                    across = place + generator.choice([-1, 1]) * (half - 1.0)
                    yield boxed_thing("car", generator, across, left, turn=np.pi / 2 + generator.normal(0, 0.02))


def people(layout: StreetLayout, style: StreetStyle, generator: Generator) -> Iterator[Thing]:
    """Pedestrians on the sidewalks, walking or standing, and bicycles at the kerb."""
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
            yield boxed_thing("pedestrian", generator, float(along), offset, turn=turn, speed=(float(pace), 0.0))
        for along in generator.uniform(-style.length, style.length + 100, int(generator.poisson(0.06 * span / 100))):
            offset = side * (ground.half_road + 0.5)
            yield boxed_thing("bicycle", generator, float(along), offset, turn=generator.normal(0, 0.2))


def riders(layout: StreetLayout, style: StreetStyle, generator: Generator) -> Iterator[Thing]:
    """Cyclists between the lanes and the parked vehicles."""
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
        yield boxed_thing("cyclist", generator, float(along), offset, turn=turn, speed=(-side * float(pace), 0.0))
