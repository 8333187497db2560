"""How full a street is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StreetStyle:
    """How full a street is.

    Attributes:
        length: metres of street ahead of and behind the ego vehicle.
        parked: share of the places for parked vehicles that are taken.
        yard: mean number of vehicles parked in a gap between buildings.
        traffic: mean metres between vehicles on a lane.
        people: mean number of pedestrians on 100 m of a sidewalk.
        riders: mean number of cyclists on 100 m of street.
        building_gap: share of the frontage that has no building.
        building_height: least and largest height, in metres.
        setback: least and largest distance from the sidewalk to the buildings, in metres.
        trees: mean number of trees on 100 m of a sidewalk.
        sites: chance that a building site takes a part of the street.
        slope: largest slope of the street, metres a metre.
        speed: largest speed of traffic, in m/s.
    """

    length: float = 150.0
    parked: float = 0.58
    yard: float = 3.0
    traffic: float = 32.0
    people: float = 1.8
    riders: float = 0.3
    building_gap: float = 0.45
    building_height: tuple[float, float] = (3.5, 8.0)
    setback: tuple[float, float] = (0.0, 14.0)
    trees: float = 2.0
    sites: float = 0.95
    slope: float = 0.02
    speed: float = 12.0


CITY = StreetStyle()
SUBURB = StreetStyle(
    parked=0.05, yard=0.2, traffic=95.0, people=1.1, riders=0.45, building_gap=0.4, building_height=(4.0, 9.0),
    setback=(2.0, 9.0), trees=2.5, sites=0.1, slope=0.012,
)  # fmt: skip
