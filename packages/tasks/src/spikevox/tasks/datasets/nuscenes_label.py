"""nuScenes' categories: those of points in lidarseg, and the classes that detection and segmentation are scored on."""

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

LABEL_NAMES = MappingProxyType(
    dict(
        enumerate(
            (
                "noise",
                "animal",
                "human.pedestrian.adult",
                "human.pedestrian.child",
                "human.pedestrian.construction_worker",
                "human.pedestrian.personal_mobility",
                "human.pedestrian.police_officer",
                "human.pedestrian.stroller",
                "human.pedestrian.wheelchair",
                "movable_object.barrier",
                "movable_object.debris",
                "movable_object.pushable_pullable",
                "movable_object.trafficcone",
                "static_object.bicycle_rack",
                "vehicle.bicycle",
                "vehicle.bus.bendy",
                "vehicle.bus.rigid",
                "vehicle.car",
                "vehicle.construction",
                "vehicle.emergency.ambulance",
                "vehicle.emergency.police",
                "vehicle.motorcycle",
                "vehicle.trailer",
                "vehicle.truck",
                "flat.driveable_surface",
                "flat.other",
                "flat.sidewalk",
                "flat.terrain",
                "static.manmade",
                "static.other",
                "static.vegetation",
                "vehicle.ego",
            )
        )
    )
)
IGNORE = -1

# Class with the numbers of lidarseg that it takes; the first ten are the classes of detection. The rest is ignored.
CLASSES = MappingProxyType(
    {
        "barrier": (9,),
        "bicycle": (14,),
        "bus": (15, 16),
        "car": (17,),
        "construction_vehicle": (18,),
        "motorcycle": (21,),
        "pedestrian": (2, 3, 4, 6),
        "traffic_cone": (12,),
        "trailer": (22,),
        "truck": (23,),
        "driveable_surface": (24,),
        "other_flat": (25,),
        "sidewalk": (26,),
        "terrain": (27,),
        "manmade": (28,),
        "vegetation": (30,),
    }
)
DETECTION_NAMES = tuple(CLASSES)[:10]
# Category of a box to the class that detection scores it as; other categories are not scored.
DETECTION_CLASS = MappingProxyType({LABEL_NAMES[number]: name for name in DETECTION_NAMES for number in CLASSES[name]})


def merge_lidarseg(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Classes 0 to 15 of lidarseg's numbers 0 to 31, -1 where they are ignored, also of points without a label (-1).

    Raises:
        ValueError: numbers outside -1 to 31.

    Example:
        >>> merge_lidarseg(np.array([17, 0, 30, -1])).tolist()
        [3, -1, 15, -1]
    """
    if labels.size and not -1 <= labels.min() <= labels.max() < len(LABEL_NAMES):
        raise ValueError(f"lidarseg's numbers are 0 to 31, -1 for none, got {labels.min()} to {labels.max()}.")
    # The last entry is that of -1.
    table = np.full(len(LABEL_NAMES) + 1, IGNORE, dtype=np.int64)
    for merged, numbers in enumerate(CLASSES.values()):
        table[list(numbers)] = merged
    return table[labels]
