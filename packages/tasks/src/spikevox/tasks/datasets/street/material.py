"""What surfaces give back of a ray: whether it returns, and how strong."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.street.classes import STREET_CLASSES
from spikevox.tasks.datasets.street.lidar import Lidar
from spikevox.tasks.datasets.street.primitives import Array


class Material(NamedTuple):
    """A surface.

    Attributes:
        reflectivity: 0 to 1, decides how far away a ray still comes back.
        intensity: what the sensor reports for a surface met head on, 0 to 1.
        spread: standard deviation of the logarithm of the intensity.
        loss: share of the rays that never come back: mirrored away, or gone through.
    """

    reflectivity: float
    intensity: float
    spread: float = 0.3
    loss: float = 0.0


MATERIALS = {
    "paint": Material(0.8, 0.036, 1.2, 0.05),
    "glass": Material(0.3, 0.01, 1.0, 0.6),
    "window": Material(0.3, 0.02, 1.0, 0.5),
    "rubber": Material(0.2, 0.02, 0.4, 0.05),
    "retroreflector": Material(1.0, 1.0, 0.15),
    "signal_paint": Material(0.6, 0.085, 0.6),
    "steel": Material(0.4, 0.05, 0.6, 0.05),
    "sheet": Material(0.5, 0.09, 0.6, 0.02),
    "plaster": Material(0.6, 0.11, 0.35),
    "brick": Material(0.5, 0.1, 0.35),
    "concrete": Material(0.5, 0.09, 0.35),
    "tarpaulin": Material(0.3, 0.02, 1.0),
    "bark": Material(0.4, 0.06, 0.4),
    "leaf": Material(0.5, 0.115, 0.5, 0.05),
    "cloth": Material(0.5, 0.09, 0.5),
    "skin": Material(0.5, 0.12, 0.3),
    "roof": Material(0.5, 0.006, 0.8, 0.3),
    "asphalt": Material(0.25, 0.04, 0.35),
    "white_line": Material(0.4, 0.053, 0.5),
    "slabs": Material(0.35, 0.077, 0.4),
    "grass": Material(0.35, 0.05, 0.4),
}
MATERIAL_NUMBERS = {name: number for number, name in enumerate(MATERIALS)}
_TABLE = np.array(list(MATERIALS.values()), dtype=np.float64)
_OF_GROUND = {
    "road": "asphalt",
    "parking": "asphalt",
    "lane_marking": "white_line",
    "sidewalk": "slabs",
    "other_ground": "slabs",
    "terrain": "grass",
}
# (classes,) material of a class of the ground, 0 for all others.
GROUND_MATERIALS = np.array([MATERIAL_NUMBERS[_OF_GROUND.get(name, "paint")] for name in STREET_CLASSES])


def come_back(
    material: NDArray[np.int64], distance: Array, cosine: Array, lidar: Lidar, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """(P,) whether each ray returns: rarer the farther, the darker and the flatter it strikes.

    Args:
        material: (P,) rows of MATERIALS.
        distance: (P,) metres along the ray.
        cosine: (P,) of the angle between ray and normal.
        lidar: its reach and drop-out.
        generator: of the losses.
    """
    half_way = lidar.reach * np.sqrt(_TABLE[material, 0] * np.maximum(cosine, 1e-3))
    chance = (1 - lidar.drop_out) * (1 - _TABLE[material, 3]) / (1 + (distance / half_way) ** 4)
    return generator.random(len(material)) < chance


def intensities(
    material: NDArray[np.int64],
    albedo: Array,
    distance: Array,
    cosine: Array,
    lidar: Lidar,
    generator: np.random.Generator,
) -> Array:
    """(P,) 0 to 1. Sensors make up for most of the distance: a tenth of the strength is lost in some 30 m.

    Args:
        material: (P,) rows of MATERIALS.
        albedo: (P,) factor of each object.
        distance: (P,) metres along the ray.
        cosine: (P,) of the angle between ray and normal.
        lidar: its gain.
        generator: of the spread.
    """
    values = _TABLE[material]
    # Rough surfaces seen flat still give back half, retroreflectors nearly all.
    angle = 0.5 + 0.5 * cosine
    spread = np.exp(generator.normal(size=len(material)) * values[:, 2] - values[:, 2] ** 2 / 2)
    return np.clip(lidar.gain * values[:, 1] * albedo * angle * np.exp(-distance / 300) * spread, 0.0, 1.0)
