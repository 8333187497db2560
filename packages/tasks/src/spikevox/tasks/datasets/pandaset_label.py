"""PandaSet's 42 point classes, and the fourteen and six classes that they are merged into for training."""

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.errors import ConfigError

LABEL_NAMES = MappingProxyType(
    {
        0: "Unlabelled",
        1: "Smoke",
        2: "Exhaust",
        3: "Spray or rain",
        4: "Reflection",
        5: "Vegetation",
        6: "Ground",
        7: "Road",
        8: "Lane Line Marking",
        9: "Stop Line Marking",
        10: "Other Road Marking",
        11: "Sidewalk",
        12: "Driveway",
        13: "Car",
        14: "Pickup Truck",
        15: "Medium-sized Truck",
        16: "Semi-truck",
        17: "Towed Object",
        18: "Motorcycle",
        19: "Other Vehicle - Construction Vehicle",
        20: "Other Vehicle - Uncommon",
        21: "Other Vehicle - Pedicab",
        22: "Emergency Vehicle",
        23: "Bus",
        24: "Personal Mobility Device",
        25: "Motorized Scooter",
        26: "Bicycle",
        27: "Train",
        28: "Trolley",
        29: "Tram / Subway",
        30: "Pedestrian",
        31: "Pedestrian with Object",
        32: "Animals - Bird",
        33: "Animals - Other",
        34: "Pylons",
        35: "Road Barriers",
        36: "Signs",
        37: "Cones",
        38: "Construction Signs",
        39: "Temporary Construction Barriers",
        40: "Rolling Containers",
        41: "Building",
        42: "Other Static Object",
    }
)
IGNORE = -1

# Each merged class with the numbers that it takes; numbers that no class takes are ignored.
FOURTEEN = MappingProxyType(
    {
        "vegetation": (5,),
        "road": (6, 7),
        "marking": (8, 9, 10),
        "sidewalk": (11, 12),
        "car": (13,),
        "pickup": (14,),
        "truck": (15,),
        "construction vehicle": (19,),
        "pedestrian": (30, 31),
        "sign": (36,),
        "cone": (37,),
        "building": (41,),
        "other static": (42,),
        "reflection": (4,),
    }
)
SIX = MappingProxyType(
    {
        "vegetation": (5,),
        "road and marking": (6, 7, 8, 9, 10),
        "sidewalk": (11, 12),
        "vehicle": (13, 14, 15, 19),
        "building": (41,),
        "other static": (42,),
    }
)


def merge_classes(labels: NDArray[np.integer], count: int = 14) -> NDArray[np.int64]:
    """Merged classes, -1 where they are ignored, of PandaSet's label numbers.

    Args:
        labels: any shape, 0 to 42.
        count: 14 or 6, into :data:`FOURTEEN` or :data:`SIX`.

    Raises:
        ConfigError: another count.
        ValueError: numbers outside 0 to 42.

    Example:
        >>> merge_classes(np.array([5, 8, 13, 0]), 6).tolist()
        [0, 1, 3, -1]
    """
    if count not in (6, 14):
        raise ConfigError(f"PandaSet's classes are merged into 6 or 14, got {count}.")
    if labels.size and not 0 <= labels.min() <= labels.max() < len(LABEL_NAMES):
        raise ValueError(f"PandaSet's label numbers are 0 to 42, got {labels.min()} to {labels.max()}.")
    table = np.full(len(LABEL_NAMES), IGNORE, dtype=np.int64)
    for merged, numbers in enumerate((SIX if count == 6 else FOURTEEN).values()):
        table[list(numbers)] = merged
    return table[labels]
