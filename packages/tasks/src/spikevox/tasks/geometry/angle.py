"""Angles brought into a range, and headings told as half a circle and the rest."""

import math

from torch import Tensor


def wrap_angle(angle: Tensor, *, low: float = -math.pi, period: float = 2 * math.pi) -> Tensor:
    """The angle in ``[low, low + period)`` that is a whole number of periods away, in radians."""
    return angle - ((angle - low) / period).floor() * period


def heading_half(yaw: Tensor, *, start: float = math.pi / 4) -> Tensor:
    """Which half of the circle a heading lies in (SECOND, Sensors 2018, section 3.2.2).

    A regression of ``sin`` of the difference cannot tell a box from the same box turned by half a circle.

    Args:
        yaw: any shape, in radians.
        start: where the first half begins; away from headings that are common.

    Returns:
        Same shape, int64: 0 from ``start`` on, 1 from ``start + pi`` on.
    """
    return (wrap_angle(yaw, low=start) >= start + math.pi).long()


def turn_into_half(yaw: Tensor, half: Tensor, *, start: float = math.pi / 4) -> Tensor:
    """The heading along the same line as ``yaw`` that lies in the given half; the inverse of :func:`heading_half`."""
    return wrap_angle(yaw, low=start, period=math.pi) + math.pi * half
