"""nuScenes' mAP, errors and NDS, box by box, from the rules of its development kit.

A frame is (objects, detections); a box is a dictionary with name, place (x, y, z), size (length, width, height), yaw,
velocity (x, y) or None, attribute, points (a count or None); a detection has a score besides.
"""

from math import atan2, cos, hypot, isnan, nan, pi, sin

RANGE = {
    "car": 50, "truck": 50, "bus": 50, "trailer": 50, "construction_vehicle": 50,
    "pedestrian": 40, "motorcycle": 40, "bicycle": 40, "traffic_cone": 30, "barrier": 30,
}  # fmt: skip
ERRORS = ("translation", "scale", "orientation", "velocity", "attribute")
# The kit's recalls are multiples of 0.01 rounded anew, some a little off k / 100: where recall jumps it makes a difference.
RECALLS = [*(step * 0.01 for step in range(100)), 1.0]
RACK = "static_object.bicycle_rack"


def in_rack(box, rack):
    dx, dy, dz = (a - b for a, b in zip(box["place"], rack["place"], strict=True))
    c, s = cos(rack["yaw"]), sin(rack["yaw"])
    along, across = dx * c + dy * s, dy * c - dx * s
    return all(abs(v) <= size / 2 for v, size in zip((along, across, dz), rack["size"], strict=True))


def counts(box, name, racks):
    if box["name"] != name or hypot(*box["place"][:2]) >= RANGE[name] or box.get("points") == 0:
        return False
    return name not in ("bicycle", "motorcycle") or not any(in_rack(box, rack) for rack in racks)


def errors_of(truth, found):
    volumes = [box["size"][0] * box["size"][1] * box["size"][2] for box in (truth, found)]
    least = [min(pair) for pair in zip(truth["size"], found["size"], strict=True)]
    shared = least[0] * least[1] * least[2]
    turn = truth["yaw"] - found["yaw"]
    if truth["name"] == "barrier":
        turn *= 2
    turn = abs(atan2(sin(turn), cos(turn))) / (2 if truth["name"] == "barrier" else 1)
    velocity = nan
    if truth["velocity"] is not None and found["velocity"] is not None:
        velocity = hypot(*(a - b for a, b in zip(truth["velocity"], found["velocity"], strict=True)))
    attribute = nan if truth["attribute"] == "" else float(truth["attribute"] != found["attribute"])
    distance = hypot(*(a - b for a, b in zip(truth["place"][:2], found["place"][:2], strict=True)))
    return {
        "translation": distance,
        "scale": 1 - shared / (volumes[0] + volumes[1] - shared),
        "orientation": turn,
        "velocity": velocity,
        "attribute": attribute,
    }


def interpolate(x, known_x, known_y, right=None):
    """A line from point to point; of equal known_x the last holds from there on; beyond the last ``right``."""
    if right is not None and x > known_x[-1]:
        return right
    if x < known_x[0]:
        return known_y[0]
    below = max(i for i, value in enumerate(known_x) if value <= x)
    if below == len(known_x) - 1:
        return known_y[-1]
    share = (x - known_x[below]) / (known_x[below + 1] - known_x[below])
    return known_y[below] + share * (known_y[below + 1] - known_y[below])


def running_means(values):
    if all(isnan(value) for value in values):
        return [1.0] * len(values)
    means, total, known = [], 0.0, 0
    for value in values:
        if not isnan(value):
            total, known = total + value, known + 1
        means.append(total / known if known else 0.0)
    return means


def match(frames, name, limit):
    """(scores, flags, errors of true ones with their scores, objects), the best score first."""
    objects, found = [], []
    for number, (truth, detections) in enumerate(frames):
        racks = [box for box in truth if box["name"] == RACK]
        objects += [(number, box) for box in truth if counts(box, name, racks)]
        found += [(number, box) for box in detections if counts({**box, "points": None}, name, racks)]
    order = sorted(range(len(found)), key=lambda i: (found[i][1]["score"], i), reverse=True)
    taken, flags, errors = set(), [], []
    for i in order:
        number, box = found[i]
        best, nearest = float("inf"), None
        for j, (other_number, other) in enumerate(objects):
            if other_number == number and j not in taken:
                distance = hypot(other["place"][0] - box["place"][0], other["place"][1] - box["place"][1])
                if distance < best:
                    best, nearest = distance, j
        flags.append(best < limit)
        if best < limit:
            taken.add(nearest)
            errors.append((box["score"], errors_of(objects[nearest][1], box)))
    return [found[i][1]["score"] for i in order], flags, errors, len(objects)


def recalls_of(flags, total):
    recalls, precisions, true = [], [], 0
    for place, flag in enumerate(flags, 1):
        true += flag
        recalls.append(true / total)
        precisions.append(true / place)
    return recalls, precisions


def average_precision(frames, name, limit):
    _, flags, _, total = match(frames, name, limit)
    if not any(flags):
        return 0.0
    recalls, precisions = recalls_of(flags, total)
    sampled = [interpolate(RECALLS[step], recalls, precisions, right=0.0) for step in range(11, 101)]
    return sum(max(0.0, value - 0.1) for value in sampled) / 90 / 0.9


def class_errors(frames, name):
    scores, flags, errors, total = match(frames, name, 2.0)
    if not any(flags):
        return dict.fromkeys(ERRORS, 1.0)
    recalls, _ = recalls_of(flags, total)
    sampled = [interpolate(RECALLS[step], recalls, scores, right=0.0) for step in range(101)]
    last = max((step for step in range(101) if sampled[step] != 0), default=0)
    if last < 11:
        return dict.fromkeys(ERRORS, 1.0)
    result = {}
    known = [score for score, _ in errors][::-1]
    for error in ERRORS:
        means = running_means([values[error] for _, values in errors])[::-1]
        result[error] = sum(interpolate(sampled[step], known, means) for step in range(11, last + 1)) / (last - 10)
    return result


def evaluate(frames):
    """({class: (objects, (AP at each distance), errors)}, mAP, mean errors, NDS)."""
    rows = {}
    for name in RANGE:
        aps = [average_precision(frames, name, limit) for limit in (0.5, 1.0, 2.0, 4.0)]
        errors = class_errors(frames, name)
        for error in ERRORS:
            if (name == "traffic_cone" and error in ERRORS[2:]) or (name == "barrier" and error in ERRORS[3:]):
                errors[error] = nan
        rows[name] = (match(frames, name, 2.0)[3], aps, [errors[error] for error in ERRORS])
    mean_ap = sum(sum(aps) / 4 for _, aps, _ in rows.values()) / len(rows)
    means = []
    for place in range(5):
        values = [errors[place] for _, _, errors in rows.values() if not isnan(errors[place])]
        means.append(sum(values) / len(values))
    return rows, mean_ap, means, (5 * mean_ap + sum(max(0.0, 1 - error) for error in means)) / 10


ATTRIBUTES = {"car": ["vehicle.moving", "vehicle.parked"], "pedestrian": ["pedestrian.moving", "pedestrian.standing"]}


def random_object(random, name):
    return {
        "name": name,
        "place": tuple(random.choice([1, 1, 1.5, 2]) * random.uniform(-20, 20) * share for share in (1, 1, 0.05)),
        "size": tuple((8 if name == RACK else 1) * random.uniform(0.5, 3) for _ in range(3)),
        "yaw": random.uniform(-4, 4),
        "velocity": random.choice([None, (0.0, 0.0), (random.uniform(-5, 5), random.uniform(-5, 5))]),
        "attribute": random.choice(["", *ATTRIBUTES.get(name, [])]),
        "points": random.choice([0, 1, 5, 9, 200]),
    }


def random_frame(random):
    """Objects and detections near them, twice, of another class, too far, in a rack, without points; many of equal score."""
    names = [*RANGE, "car", "car", "car", "pedestrian", "bicycle", RACK]
    objects = [random_object(random, random.choice(names)) for _ in range(random.randint(0, 14))]
    detections = []
    for box in objects:
        for _ in range(random.choice([0, 1, 1, 1, 2])):
            spread = random.choice([0.0, 0.2, 0.7, 2.0])
            name = random.choice(list(RANGE)) if box["name"] == RACK or random.random() < 0.1 else box["name"]
            detections.append(
                {
                    "name": name,
                    "place": tuple(value + random.uniform(-spread, spread) for value in box["place"]),
                    "size": tuple(value * random.uniform(0.7, 1.3) for value in box["size"]),
                    "yaw": box["yaw"] + random.choice([0.0, pi, random.uniform(-1, 1)]),
                    "velocity": random.choice([None, (1.0, 0.5), box["velocity"]]),
                    "attribute": random.choice(["", *ATTRIBUTES.get(name, [])]),
                    "score": random.choice([0.0, 0.3, 0.5, 0.5, random.random()]),
                }
            )
    random.shuffle(detections)
    return objects, detections


def random_frames(random):
    """One to five frames; there is something to score in the first."""
    frames = [random_frame(random) for _ in range(random.randint(1, 5))]
    frames[0][0].append({**random_object(random, "car"), "place": (1.0, 2.0, 0.0), "points": 3})
    return frames
