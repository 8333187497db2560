"""Anchors and their objects, one by one; an anchor or object is (x, y, z, length, width, height, yaw)."""

from math import atan2, cos, log, pi, sin, sqrt


def grid(classes, extent, cells):
    """{(row along y, column along x, class, heading): anchor} with the outermost on the borders of the extent."""
    low_x, low_y, high_x, high_y = extent
    result = {}
    for row in range(cells[1]):
        for column in range(cells[0]):
            x = low_x + (high_x - low_x) * column / (cells[0] - 1)
            y = low_y + (high_y - low_y) * row / (cells[1] - 1)
            for number, one in enumerate(classes):
                for turn, yaw in enumerate(one["rotations"]):
                    z = one["bottom"] + one["size"][2] / 2
                    result[row, column, number, turn] = (x, y, z, *one["size"], yaw)
    return result


def sides(box):
    """Lowest and highest x and y of a box turned to the nearest axis."""
    x, y, _, length, width, _, yaw = box
    line = abs(atan2(sin(2 * yaw), cos(2 * yaw)) / 2)  # how far its line is from the x axis, 0 to a quarter turn
    if line > pi / 4:
        length, width = width, length
    return x - length / 2, y - width / 2, x + length / 2, y + width / 2


def overlap(a, b):
    a, b = sides(a), sides(b)
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (areas[0] + areas[1] - width * height)


def deltas(box, anchor):
    diagonal = sqrt(anchor[3] ** 2 + anchor[4] ** 2)
    return (
        (box[0] - anchor[0]) / diagonal,
        (box[1] - anchor[1]) / diagonal,
        (box[2] - anchor[2]) / anchor[5],
        *(log(box[i] / anchor[i]) for i in (3, 4, 5)),
        box[6] - anchor[6],
    )


def half(yaw):
    """0 where a heading lies from an eighth of a turn to five eighths, 1 elsewhere."""
    return 0 if sin(yaw - pi / 4) >= 0 else 1


def targets(anchors, objects, matched, unmatched):
    """[(state, deltas or None, half)] of anchors of one class from objects of that class."""
    table = [[overlap(anchor, box) for box in objects] for anchor in anchors]
    best = [max((row[j] for row in table), default=0.0) for j in range(len(objects))]
    result = []
    for anchor, row in zip(anchors, table, strict=True):
        most = max(row, default=0.0)
        forced = any(value == best[j] and value > 0 for j, value in enumerate(row))
        if row and (most >= matched or forced):
            box = objects[row.index(most)]
            result.append((1, deltas(box, anchor), half(box[6])))
        else:
            result.append((0 if most < unmatched else -1, None, 0))
    return result
