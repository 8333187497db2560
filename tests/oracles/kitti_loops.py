"""KITTI's average precision, box by box and threshold by threshold, from the rules of its development kit.

A frame is (objects, detections); an object is a dictionary with name, rectangle (left, top, right, bottom), alpha, truncated,
occluded, size (height, width, length), location (middle of the bottom in the camera's coordinates) and rotation_y; a
detection has a score besides.
"""

from math import cos, pi, sin

from oracles.exact_overlap import area, clip

LEVELS = {"easy": (40, 0, 0.15), "moderate": (25, 1, 0.3), "hard": (25, 2, 0.5)}
NEIGHBOUR = {"car": "van", "pedestrian": "person_sitting"}
LEAST = {"car": 0.7, "pedestrian": 0.5, "cyclist": 0.5}


def rectangle_overlap(a, b, of_first=False):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    first, second = ((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return width * height / (first if of_first else first + second - width * height)


def ground(box):
    _, width, length = box["size"]
    x, _, z = box["location"]
    c, s = cos(box["rotation_y"]), sin(box["rotation_y"])
    corners = [(length / 2, width / 2), (length / 2, -width / 2), (-length / 2, -width / 2), (-length / 2, width / 2)]
    polygon = [(x + c * along + s * across, z - s * along + c * across) for along, across in corners]
    return polygon if area([(float(a), float(b)) for a, b in polygon]) > 0 else polygon[::-1]


def shared_ground(a, b):
    polygon, frame = ground(b), ground(a)
    for i in range(4):
        polygon = clip(polygon, frame[i - 1], frame[i])
    return float(area(polygon)) if polygon else 0.0


def overlap(a, b, measure):
    if measure == "bbox":
        return rectangle_overlap(a["rectangle"], b["rectangle"])
    shared = shared_ground(a, b)
    sizes = [box["size"][1] * box["size"][2] for box in (a, b)]
    if measure == "bev":
        return shared / (sizes[0] + sizes[1] - shared)
    # The camera's y points down: the bottom has the larger one.
    low = min(box["location"][1] for box in (a, b))
    high = max(box["location"][1] - box["size"][0] for box in (a, b))
    shared *= max(0.0, low - high)
    volumes = [size * box["size"][0] for size, box in zip(sizes, (a, b), strict=True)]
    return shared / (volumes[0] + volumes[1] - shared)


def sort_out(frame, name, level):
    """State of each object and detection (1 counts, 0 ignored, None absent) and the regions not to care about."""
    height, occluded, truncated = LEVELS[level]
    objects, detections = [], []
    for box in frame[0]:
        tall = box["rectangle"][3] - box["rectangle"][1]
        if box["name"].lower() == name:
            hard = box["occluded"] > occluded or box["truncated"] > truncated or tall < height
            objects.append(0 if hard else 1)
        else:
            objects.append(0 if box["name"].lower() == NEIGHBOUR.get(name) else None)
    for box in frame[1]:
        tall = int(abs(box["rectangle"][1] - box["rectangle"][3]))
        detections.append(0 if tall < height else 1 if box["name"].lower() == name else None)
    return objects, detections, [box for box in frame[0] if box["name"].lower() == "dontcare"]


def choose(box, candidates, measure, least, threshold):
    """Row of the detection that an object takes, of (row, state, detection) that are free."""
    chosen, best, proper = None, None, False
    for row, state, other in candidates:
        value = overlap(other, box, measure)
        if not value > least:
            continue
        if threshold is None:
            if best is None or other["score"] > best:
                chosen, best = row, other["score"]
        elif state == 1:
            if not proper or value > best:
                chosen, best, proper = row, value, True
        elif chosen is None:
            chosen = row
    return chosen


def count(frame, name, level, measure, threshold):
    """(found objects' scores, false detections, similarity) of a frame; each takes the best score where no threshold is given."""
    least = LEAST[name]
    objects, detections, regions = sort_out(frame, name, level)
    there = [
        (row, state, other)
        for row, (state, other) in enumerate(zip(detections, frame[1], strict=True))
        if state is not None and (threshold is None or other["score"] >= threshold)
    ]
    taken, scores, similarity = set(), [], 0.0
    for state, box in zip(objects, frame[0], strict=True):
        free = [candidate for candidate in there if candidate[0] not in taken]
        chosen = None if state is None else choose(box, free, measure, least, threshold)
        if chosen is None:
            continue
        taken.add(chosen)
        if state == 1 and detections[chosen] == 1:
            scores.append(frame[1][chosen]["score"])
            similarity += (1 + cos(box["alpha"] - frame[1][chosen]["alpha"])) / 2
    # Only the image has a place for the regions: elsewhere their boxes are a thousand metres away.
    regions = regions if measure == "bbox" else []
    false = 0
    for row, state, other in there:
        covered = any(rectangle_overlap(other["rectangle"], r["rectangle"], True) > least for r in regions)
        false += row not in taken and state == 1 and not covered
    return scores, false, similarity


def thresholds_of(scores, total):
    scores = sorted(scores, reverse=True)
    result, recall = [], 0.0
    for i, score in enumerate(scores):
        left = (i + 1) / total
        right = (i + 2) / total if i < len(scores) - 1 else left
        if right - recall < recall - left and i < len(scores) - 1:
            continue
        result.append(score)
        recall += 1 / 40
    return result


def totals(frames, name, level, measure, threshold):
    parts = [count(frame, name, level, measure, threshold) for frame in frames]
    return sum(len(p[0]) for p in parts), sum(p[1] for p in parts), sum(p[2] for p in parts)


def average_precision(frames, name, level, measure):
    """(objects, (R11, R40, exact) in percent) of a class; ``measure`` is bbox, bev, 3d or aos."""
    oriented, measure = measure == "aos", "bbox" if measure == "aos" else measure
    total = sum(state == 1 for frame in frames for state in sort_out(frame, name, level)[0])
    if total == 0:
        return 0, None

    def ratio(threshold):
        true, false, similarity = totals(frames, name, level, measure, threshold)
        if true + false == 0:
            return true, 0.0
        return true, (similarity if oriented else true) / (true + false)

    picked = [score for frame in frames for score in count(frame, name, level, measure, None)[0]]
    sampled = [0.0] * 41
    for i, threshold in enumerate(thresholds_of(picked, total)):
        sampled[i] = ratio(threshold)[1]
    sampled = [max(sampled[i:]) for i in range(41)]
    every = [ratio(score) for score in {box["score"] for frame in frames for box in frame[1]}]
    best = [max((value for true, value in every if true >= k), default=0.0) for k in range(1, total + 1)]
    return total, (100 * sum(sampled[::4]) / 11, 100 * sum(sampled[1:]) / 40, 100 * sum(best) / total)


NAMES = ("Car", "Car", "Pedestrian", "Cyclist", "Van", "Person_sitting", "Truck", "DontCare")


def random_rectangle(random):
    left, top = random.uniform(0, 900), random.uniform(0, 250)
    height = random.choice([25.0, 40.0, 24.0, 39.5, random.uniform(20, 120)])
    return (left, top, left + random.uniform(30, 200), top + height)


def random_object(random, names):
    return {
        "name": random.choice(names),
        "rectangle": random_rectangle(random),
        "alpha": random.uniform(-pi, pi),
        "truncated": random.choice([0.0, 0.0, 0.15, 0.2, 0.3, 0.6]),
        "occluded": random.choice([0, 0, 0, 1, 2, 3]),
        "size": (random.uniform(1.4, 1.8), random.uniform(0.6, 1.9), random.uniform(0.8, 4.5)),
        "location": (random.uniform(-10, 10), random.uniform(1, 2), random.uniform(5, 40)),
        "rotation_y": random.uniform(-pi, pi),
    }


def random_frame(random, most_objects=6, names=NAMES):
    """Objects and detections near them, near each other and anywhere; many of equal score; heights at the limits."""
    objects = [random_object(random, names) for _ in range(random.randint(0, most_objects))]
    for other in list(objects):
        # A second object nearly in the same place: both want the same detections.
        if random.random() < 0.3:
            objects.append(near(random, other, 0.02))
    detections = []
    for other in objects:
        for _ in range(random.choice([0, 1, 1, 2, 3])):
            detections.append(near(random, other, random.choice([0.0, 0.03, 0.1])))
            if random.random() < 0.3 or detections[-1]["name"] == "DontCare":
                detections[-1]["name"] = random.choice(["Car", "Pedestrian", "Cyclist"])
    if objects and random.random() < 0.5:
        detections.append(
            {**near(random, objects[0], 0), "rectangle": random_rectangle(random), "location": (50.0, 1.0, 60.0)}
        )
    random.shuffle(detections)
    kept = [box for box in detections if box["name"] != "DontCare"]
    return objects, [{**box, "score": random.choice([0.1, 0.5, 0.5, 0.9, random.random()])} for box in kept]


def random_frames(random):
    """Frames without a rectangle of just a level's height, where programs differ; all classes in the first."""
    frames = [random_frame(random, 9, NAMES[:6] + NAMES[7:]) for _ in range(random.randint(2, 25))]
    for name in ("Car", "Pedestrian", "Cyclist"):
        frames[0][0].append({**random_object(random, [name]), "occluded": 0, "truncated": 0.0})
    for box in [box for frame in frames for side in frame for box in side]:
        left, top, right, bottom = box["rectangle"]
        box["rectangle"] = (left, top, right, bottom + 0.01 * (bottom - top in (25.0, 40.0)))
    return frames


def near(random, box, share):
    left, top, right, bottom = box["rectangle"]
    moves = [random.uniform(-share, share) for _ in range(7)]
    width, height = right - left, bottom - top
    rectangle = (left + moves[0] * width, top + moves[1] * height, right + moves[2] * width, bottom + moves[3] * height)
    x, y, z = box["location"]
    return {
        **box,
        "rectangle": rectangle,
        "location": (x + moves[4] * box["size"][1], y + 4 * moves[5], z + moves[6] * box["size"][1]),
        "alpha": box["alpha"] + random.choice([0.0, moves[6], pi]),
        "rotation_y": box["rotation_y"] + moves[5],
    }
