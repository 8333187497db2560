"""Colours of classes that are easy to tell apart."""

import colorsys

import numpy as np
from numpy.typing import NDArray

UNKNOWN = (128, 128, 128)
_GOLDEN = 0.618033988749895


def class_colours(count: int) -> NDArray[np.uint8]:
    """(count, 3) red, green and blue; the same class has the same colour however many there are.

    Example:
        >>> class_colours(2).tolist()
        [[242, 61, 61], [62, 96, 178]]
    """
    colours = []
    for index in range(count):
        # Hues a golden section of the circle apart never come close; brightness and saturation alternate as well.
        hue, saturation, value = index * _GOLDEN % 1, (0.75, 0.65, 0.9)[index % 3], (0.95, 0.7, 0.85)[index % 3]
        colours.append([round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value)])
    return np.array(colours, dtype=np.uint8).reshape(count, 3)


def point_colours(classes: NDArray[np.integer], count: int) -> NDArray[np.uint8]:
    """(P, 3) the colour of each point's class, grey for -1."""
    return np.vstack([class_colours(count), UNKNOWN]).astype(np.uint8)[classes]
