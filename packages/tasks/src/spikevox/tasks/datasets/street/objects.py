"""Vehicles and people of a street, put together from solids; each stands at its own origin and looks along x."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from spikevox.tasks.datasets.street.primitives import BOX, CYLINDER, ELLIPSOID

Generator = np.random.Generator


class Part(NamedTuple):
    """A solid of an object.

    Attributes:
        kind: BOX, CYLINDER or ELLIPSOID.
        center: metres, z from the ground.
        size: metres, the whole extent along the part's own axes.
        material: name in MATERIALS.
        taper: metres by which each side of a box moves in, a metre up.
        density: returns a metre inside, infinite for a closed surface.
        yaw: radians, of the part in its object.
        name: class of its points, empty for that of the object.
    """

    kind: int
    center: tuple[float, float, float]
    size: tuple[float, float, float]
    material: str
    taper: tuple[float, float] = (0.0, 0.0)
    density: float = float("inf")
    yaw: float = 0.0
    name: str = ""


class Shape(NamedTuple):
    """An object's parts and the size (length, width, height) of its box, in metres."""

    parts: list[Part]
    size: tuple[float, float, float]


def _box(x: float, y: float, z: float, size: tuple[float, float, float], material: str, **options: object) -> Part:
    return Part(BOX, (x, y, z + size[2] / 2), size, material, **options)  # type: ignore[arg-type]


def _wheels(length: float, width: float, base: float, diameter: float) -> list[Part]:
    inset = 0.12
    return [
        _box(a * base / 2, b * (width / 2 - inset), 0.0, (diameter, 0.2, diameter), "rubber")
        for a in (-1, 1)
        for b in (-1, 1)
    ]


def _plates(length: float, z: float) -> list[Part]:
    return [_box(a * (length / 2 - 0.005), 0.0, z, (0.01, 0.5, 0.12), "retroreflector") for a in (-1, 1)]


def _cabin(x: float, z: float, size: tuple[float, float, float], taper: tuple[float, float]) -> list[Part]:
    """Windows all around under a roof of sheet metal."""
    length, width, height = size
    roof = (length - 2 * taper[0] * height, width - 2 * taper[1] * height, 0.08)
    return [
        _box(x, 0.0, z, size, "glass", taper=taper),
        _box(x, 0.0, z + height - 0.08, roof, "paint"),
    ]


def car(generator: Generator) -> Shape:
    """Saloons, estates and off-roaders: a body, a cabin, wheels, two plates."""
    length, width, height = generator.uniform(3.9, 4.9), generator.uniform(1.7, 1.9), generator.uniform(1.42, 1.75)
    waist = height * 0.58
    cabin = length * generator.uniform(0.52, 0.68)
    parts = [
        _box(0, 0, 0.22, (length, width, waist - 0.22), "paint", taper=(0.05, 0.04)),
        *_cabin(-length * 0.07, waist, (cabin, width * 0.94, height - waist), (0.45, 0.22)),
        *_wheels(length, width, length * 0.6, 0.64),
        *_plates(length, 0.45),
    ]
    return Shape(parts, (length, width, height))


def van(generator: Generator) -> Shape:
    """A tall body with a short bonnet."""
    length, width, height = generator.uniform(4.8, 6.0), generator.uniform(1.9, 2.1), generator.uniform(1.9, 2.6)
    front = 1.1
    parts = [
        _box(-front / 2, 0, 0.3, (length - front, width, height - 0.3), "paint", taper=(0.04, 0.04)),
        _box(length / 2 - front / 2, 0, 0.3, (front, width, 0.8), "paint"),
        *_wheels(length, width, length * 0.6, 0.7),
        *_plates(length, 0.5),
    ]
    return Shape(parts, (length, width, height))


def pickup(generator: Generator) -> Shape:
    """A cabin before an open bed."""
    length, width, height = generator.uniform(5.2, 6.0), generator.uniform(1.9, 2.05), generator.uniform(1.8, 1.98)
    waist, floor = 1.15, 0.75
    bed = length * 0.36
    parts = [
        _box(bed / 2, 0, 0.35, (length - bed, width, waist - 0.35), "paint"),
        _box(-length / 2 + bed / 2, 0, 0.35, (bed, width, floor - 0.35), "paint"),
        *(
            _box(-length / 2 + bed / 2, a * (width / 2 - 0.05), floor, (bed, 0.1, waist - floor), "paint")
            for a in (-1, 1)
        ),
        _box(-length / 2 + 0.05, 0, floor, (0.1, width - 0.2, waist - floor), "paint"),
        *_cabin(length * 0.02, waist, (length * 0.36, width * 0.92, height - waist), (0.35, 0.2)),
        *_wheels(length, width, length * 0.62, 0.78),
        *_plates(length, 0.6),
    ]
    return Shape(parts, (length, width, height))


def truck(generator: Generator) -> Shape:
    """A cab before a box body."""
    length, width, height = generator.uniform(6.5, 9.5), generator.uniform(2.3, 2.5), generator.uniform(2.9, 3.6)
    cab = 1.9
    parts = [
        _box(length / 2 - cab / 2, 0, 0.5, (cab, width * 0.95, height * 0.72 - 0.5), "paint", taper=(0.06, 0.03)),
        _box(-cab / 2 - 0.1, 0, 1.0, (length - cab - 0.2, width, height - 1.0), "sheet"),
        _box(0, 0, 0.6, (length * 0.9, 0.9, 0.4), "rubber"),
        *_wheels(length, width, length * 0.62, 0.95),
        *_plates(length, 0.7),
    ]
    return Shape(parts, (length, width, height))


def bus(generator: Generator) -> Shape:
    """A long box with a band of windows."""
    length, width, height = generator.uniform(10.0, 12.5), 2.55, generator.uniform(3.0, 3.3)
    parts = [
        _box(0, 0, 0.35, (length, width, 0.85), "paint"),
        _box(0, 0, 1.2, (length - 0.06, width - 0.06, 1.2), "glass"),
        _box(0, 0, 2.4, (length, width, height - 2.4), "paint"),
        *_wheels(length, width, length * 0.5, 0.95),
        *_plates(length, 0.6),
    ]
    return Shape(parts, (length, width, height))


def construction_vehicle(generator: Generator) -> Shape:
    """An excavator: tracks, a turret with a cab, a boom."""
    length, width, height = generator.uniform(5.0, 7.0), generator.uniform(2.1, 2.6), generator.uniform(2.6, 3.0)
    tracks = length * 0.55
    rear = -length / 2 + tracks / 2
    parts = [
        *(_box(rear, a * (width / 2 - 0.25), 0.0, (tracks, 0.5, 0.75), "rubber") for a in (-1, 1)),
        _box(rear, 0, 0.75, (tracks, width * 0.9, 0.75), "signal_paint"),
        _box(rear + tracks * 0.2, width * 0.2, 1.5, (1.4, width * 0.45, height - 1.5), "glass"),
        _box(length * 0.17, -0.2, 1.9, (length * 0.66, 0.35, 0.45), "signal_paint"),
        _box(length / 2 - 0.3, -0.2, 0.3, (0.6, 0.9, 1.7), "steel"),
    ]
    return Shape(parts, (length, width, height))


def _person(x: float, z: float, height: float, stride: float, width: float) -> list[Part]:
    leg, torso = 0.46 * height, 0.38 * height
    return [
        *(Part(CYLINDER, (x + a * stride, a * 0.1, z + leg / 2), (0.16, 0.16, leg), "cloth") for a in (-1, 1)),
        Part(ELLIPSOID, (x, 0.0, z + leg + torso / 2), (0.3, width, torso * 1.1), "cloth"),
        Part(ELLIPSOID, (x, 0.0, z + height - 0.12), (0.2, 0.18, 0.24), "skin"),
    ]


def pedestrian(generator: Generator) -> Shape:
    """Two legs, a trunk, a head; some carry a bag."""
    height, width = generator.uniform(1.5, 1.9), generator.uniform(0.42, 0.56)
    parts = _person(0.0, 0.0, height, generator.uniform(0.02, 0.18), width)
    if generator.random() < 0.4:
        parts.append(_box(0.0, width / 2 + 0.06, 0.5, (0.35, 0.16, 0.35), "cloth"))
    return Shape(parts, (0.62, 1.1 if len(parts) > 4 else 0.7, height))


def _two_wheels(length: float, diameter: float, width: float, material: str) -> list[Part]:
    # Spokes let most of the rays through.
    density = float("inf") if material == "rubber" else 6.0
    return [
        _box(a * (length - diameter) / 2, 0, 0, (diameter, width, diameter), material, density=density) for a in (-1, 1)
    ]


def bicycle(generator: Generator) -> Shape:
    """Two wheels, a frame, a handlebar."""
    length = generator.uniform(1.6, 1.8)
    parts = [
        *_two_wheels(length, 0.68, 0.06, "steel"),
        _box(0, 0, 0.35, (length * 0.5, 0.05, 0.45), "steel", density=12.0),
        _box(length * 0.25, 0, 0.95, (0.06, 0.55, 0.06), "steel"),
    ]
    return Shape(parts, (length, 0.6, 1.05))


def motorcycle(generator: Generator) -> Shape:
    """Two wheels, an engine, a seat, a handlebar."""
    length = generator.uniform(1.9, 2.2)
    parts = [
        *_two_wheels(length, 0.62, 0.14, "rubber"),
        _box(0, 0, 0.3, (length * 0.5, 0.38, 0.5), "paint"),
        _box(-length * 0.15, 0, 0.8, (length * 0.4, 0.3, 0.12), "rubber"),
        _box(length * 0.25, 0, 1.0, (0.1, 0.75, 0.1), "steel"),
    ]
    return Shape(parts, (length, 0.8, 1.15))


def cyclist(generator: Generator) -> Shape:
    """A bicycle under its rider."""
    parts = bicycle(generator).parts
    parts += _person(-0.1, 0.25, 1.45, 0.12, 0.46)
    return Shape(parts, (1.8, 0.7, 1.72))


def motorcyclist(generator: Generator) -> Shape:
    """A motorcycle under its rider."""
    parts = motorcycle(generator).parts
    parts += _person(-0.15, 0.2, 1.4, 0.1, 0.5)
    return Shape(parts, (2.2, 0.8, 1.62))


def cone(generator: Generator) -> Shape:
    """A foot and a tapered body with a bright band."""
    height = generator.uniform(0.6, 0.95)
    parts = [
        _box(0, 0, 0, (0.4, 0.4, 0.04), "rubber"),
        _box(0, 0, 0.04, (0.3, 0.3, height - 0.04), "signal_paint", taper=(0.15, 0.15)),
        Part(CYLINDER, (0, 0, height * 0.6), (0.22, 0.22, 0.14), "retroreflector"),
    ]
    return Shape(parts, (0.4, 0.4, height))


MAKERS: dict[str, Callable[[Generator], Shape]] = {
    "car": car,
    "van": van,
    "pickup": pickup,
    "truck": truck,
    "bus": bus,
    "construction_vehicle": construction_vehicle,
    "motorcycle": motorcycle,
    "bicycle": bicycle,
    "pedestrian": pedestrian,
    "cyclist": cyclist,
    "motorcyclist": motorcyclist,
    "cone": cone,
}
