"""Heat of centres, site by site and object by object; imports nothing of spikevox."""

from itertools import product
from math import exp, floor


def overlap(a, b):
    """Of two rectangles (x0, y0, x1, y1)."""
    across = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area = sum((r[2] - r[0]) * (r[3] - r[1]) for r in (a, b)) - across
    return across / area


def least_overlap(length, width, off):
    """Smallest overlap of a rectangle with itself when both corners move by ``off``: inwards, outwards, or alongside."""
    box = (0.0, 0.0, length, width)
    moves = [
        (off, off, -off, -off),
        (-off, -off, off, off),
        *((a * off, b * off) * 2 for a, b in product((-1, 1), repeat=2)),
    ]
    return min(overlap(box, [p + q for p, q in zip(box, move, strict=True)]) for move in moves)


def radius(length, width, least):
    """Largest ``off`` that leaves the overlap, by halving an interval."""
    low, high = 0.0, min(length, width) / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if least_overlap(length, width, middle) >= least else (low, middle)
    return low


def heat(sites, objects, classes, least, smallest):
    """Rows of heat a site, and the site of each object (class, x, y, length, width), all in cells."""
    result = [[0.0] * classes for _ in sites]
    rows = []
    for number, x, y, length, width in objects:
        apart = [(sx - x) ** 2 + (sy - y) ** 2 for sx, sy in sites]
        best = apart.index(min(apart))
        rows.append(best)
        sigma = (2 * max(smallest, floor(radius(length, width, least))) + 1) / 6
        for row, (sx, sy) in enumerate(sites):
            near = min(apart[row], (sx - sites[best][0]) ** 2 + (sy - sites[best][1]) ** 2)
            result[row][number] = max(result[row][number], exp(-near / (2 * sigma**2)))
    return result, rows
