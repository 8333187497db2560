"""SemanticKITTI's label numbers and the nineteen classes that networks are trained on."""

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

LABEL_NAMES = MappingProxyType(
    {
        0: "unlabeled",
        1: "outlier",
        10: "car",
        11: "bicycle",
        13: "bus",
        15: "motorcycle",
        16: "on-rails",
        18: "truck",
        20: "other-vehicle",
        30: "person",
        31: "bicyclist",
        32: "motorcyclist",
        40: "road",
        44: "parking",
        48: "sidewalk",
        49: "other-ground",
        50: "building",
        51: "fence",
        52: "other-structure",
        60: "lane-marking",
        70: "vegetation",
        71: "trunk",
        72: "terrain",
        80: "pole",
        81: "traffic-sign",
        99: "other-object",
        252: "moving-car",
        253: "moving-bicyclist",
        254: "moving-person",
        255: "moving-motorcyclist",
        256: "moving-on-rails",
        257: "moving-bus",
        258: "moving-truck",
        259: "moving-other-vehicle",
    }
)

# The number that predictions are written with, in the order of the classes.
_WRITTEN = (10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81)
CLASS_NAMES = tuple(LABEL_NAMES[number] for number in _WRITTEN)
IGNORE = -1

# Rare labels, and those that a single scan cannot tell apart, count as another.
_COUNTS_AS = {
    13: 20,
    16: 20,
    60: 40,
    252: 10,
    253: 31,
    254: 30,
    255: 32,
    256: 20,
    257: 20,
    258: 18,
    259: 20,
}
LEARNING_MAP = MappingProxyType(
    {
        number: _WRITTEN.index(_COUNTS_AS.get(number, number)) if _COUNTS_AS.get(number, number) in _WRITTEN else IGNORE
        for number in LABEL_NAMES
    }
)
# Each class with the numbers that it takes, the one that predictions are written with first.
CLASSES = MappingProxyType(
    {
        LABEL_NAMES[number]: (number, *(other for other, counts in _COUNTS_AS.items() if counts == number))
        for number in _WRITTEN
    }
)


def to_classes(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Classes 0 to 18, -1 where they are ignored, of SemanticKITTI's label numbers.

    Raises:
        ValueError: a number that SemanticKITTI does not define.

    Example:
        >>> to_classes(np.array([10, 252, 0, 81])).tolist()
        [0, 0, -1, 18]
    """
    return _look_up(labels, LEARNING_MAP, "SemanticKITTI label numbers are the keys of LABEL_NAMES")


def to_label_numbers(classes: NDArray[np.integer]) -> NDArray[np.int64]:
    """SemanticKITTI's label numbers of classes 0 to 18; 0, unlabeled, where they are -1.

    Raises:
        ValueError: a class outside -1 to 18.

    Example:
        >>> to_label_numbers(np.array([0, -1, 18])).tolist()
        [10, 0, 81]
    """
    return _look_up(classes, {IGNORE: 0, **dict(enumerate(_WRITTEN))}, "classes are -1 to 18")


def _look_up(
    values: NDArray[np.integer], table: "MappingProxyType[int, int] | dict[int, int]", rule: str
) -> NDArray[np.int64]:
    found, inverse = np.unique(values, return_inverse=True)
    unknown = [int(value) for value in found if int(value) not in table]
    if unknown:
        raise ValueError(f"unknown numbers {unknown[:5]}: {rule}.")
    return np.array([table[int(value)] for value in found], dtype=np.int64)[inverse].reshape(values.shape)
