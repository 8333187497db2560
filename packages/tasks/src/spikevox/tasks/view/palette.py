"""Colours of classes that are easy to tell apart."""

import colorsys

import numpy as np
from numpy.typing import NDArray

UNKNOWN = (128, 128, 128)
# The first seven are Okabe and Ito's (without black), the others lie as far from all before them as can be, for people who see
# all colours, and for those who lack red or green cones (simulated as by Machado et al., 2009), on a dark ground.
_SAFE = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)),
    *((58, 76, 238), (238, 238, 166), (238, 238, 238), (202, 40, 58), (166, 184, 94), (40, 130, 238), (202, 202, 166)),
    *((202, 238, 112), (220, 202, 238), (148, 76, 130), (202, 184, 184), (40, 166, 94), (58, 112, 58)),
)
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


def safe_colours(count: int) -> NDArray[np.uint8]:
    """(count, 3) colours that people with any common colour vision can tell apart, on a dark ground; after 20 they repeat.

    Example:
        >>> safe_colours(2).tolist()
        [[230, 159, 0], [86, 180, 233]]
    """
    return np.array([_SAFE[index % len(_SAFE)] for index in range(count)], dtype=np.uint8).reshape(count, 3)
