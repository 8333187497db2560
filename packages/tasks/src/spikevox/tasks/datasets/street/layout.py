"""What a street holds and where: everything that its seed decides once."""

import numpy as np

from spikevox.tasks.datasets.street.ground import Ground
from spikevox.tasks.datasets.street.roadside import building_site, frontage, sidewalks
from spikevox.tasks.datasets.street.style import StreetStyle
from spikevox.tasks.datasets.street.thing import Generator, StreetLayout, Thing, apart
from spikevox.tasks.datasets.street.traffic import parked, people, riders, traffic


def lay_out(style: StreetStyle, generator: Generator) -> StreetLayout:
    """A street, a function of the style and the generator's state."""
    ground = _ground(style, generator)
    speed = style.speed * generator.uniform(0.0, 1.0) * (generator.random() < 0.8)
    layout = StreetLayout(ground, -(ground.island + ground.lane_width * (0.5 - (ground.lanes % 2) / 2)), speed)
    things: list[Thing] = []
    for maker in (traffic, building_site, parked, frontage, sidewalks, people, riders):
        things.extend(maker(layout, style, generator))
    layout.things.extend(apart(things))
    return layout


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
