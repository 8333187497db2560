"""Overlap of turned boxes in rational arithmetic: no rounding after the sine and cosine of each yaw."""

from fractions import Fraction
from math import cos, sin


def corners(box):
    """Counter-clockwise corners, seen from above, of (x, y, z, length, width, height, yaw)."""
    x, y, _, length, width, _, yaw = map(Fraction, box)
    c, s = Fraction(cos(yaw)), Fraction(sin(yaw))
    half = [(length / 2, width / 2), (-length / 2, width / 2), (-length / 2, -width / 2), (length / 2, -width / 2)]
    return [(x + c * along - s * across, y + s * along + c * across) for along, across in half]


def side(point, start, end):
    """Positive left of the line from start to end."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])


def clip(polygon, start, end):
    """The part of a polygon that does not lie right of a line (Sutherland and Hodgman)."""
    result = []
    sides = [side(point, start, end) for point in polygon]
    for i, point in enumerate(polygon):
        here, before = sides[i], sides[i - 1]
        if (here < 0 < before) or (before < 0 < here):
            share = before / (before - here)
            last = polygon[i - 1]
            result.append((last[0] + share * (point[0] - last[0]), last[1] + share * (point[1] - last[1])))
        if here >= 0:
            result.append(point)
    return result


def area(polygon):
    twice = sum(polygon[i - 1][0] * p[1] - polygon[i - 1][1] * p[0] for i, p in enumerate(polygon))
    return Fraction(twice) / 2


def shared_area(a, b):
    if not (a[3] and a[4] and b[3] and b[4]):
        return Fraction(0)
    polygon, frame = corners(b), corners(a)
    for i in range(4):
        polygon = clip(polygon, frame[i - 1], frame[i])
    return area(polygon)


def overlap_from_above(a, b, shared=None):
    """Intersection over union of two boxes, as a float."""
    shared = shared_area(a, b) if shared is None else shared
    union = area(corners(a)) + area(corners(b)) - shared
    return float(shared / union) if union else 0.0


def overlap_in_space(a, b, shared=None):
    shared = shared_area(a, b) if shared is None else shared
    (za, ha), (zb, hb) = ((Fraction(box[2]), Fraction(box[5])) for box in (a, b))
    tall = min(za + ha / 2, zb + hb / 2) - max(za - ha / 2, zb - hb / 2)
    volume = shared * max(tall, Fraction(0))
    union = area(corners(a)) * ha + area(corners(b)) * hb - volume
    return float(volume / union) if union else 0.0
