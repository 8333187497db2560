"""Time of the overlap of 1,000 boxes with 1,000 others on one core, against OpenCV's in the same run.

Ours is compiled, and in numpy as where there was no compiler. OpenCV's `rotatedRectangleIntersection` takes one pair a call
and float32; it gets only the pairs whose circles meet. The wanted time is 0.5 s where at least 20 % of the pairs overlap.

    python benchmarks/box_overlap.py --boxes 1000 --rounds 5
"""

import argparse
from functools import partial

import cv2
import numpy as np
import torch
from support.timing import interleave

from spikevox.layers import native, native_boxes
from spikevox.tasks.geometry import non_maximum_suppression, rotated_iou

LIMIT = 500.0  # milliseconds for a million pairs
# Float32 at coordinates of metres.
TOLERANCE = 1e-3


def boxes(generator: np.random.Generator, count: int, extent: float) -> np.ndarray:
    """Cars to buses on a square of ``extent`` metres."""
    places = generator.uniform(0, extent, (count, 3)) * [1, 1, 0.1]
    return np.column_stack([places, generator.uniform(0.5, 8, (count, 3)), generator.uniform(-4, 4, count)])


def opencv(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union from above, a call a pair."""
    reach = np.hypot(a[:, 3], a[:, 4])[:, None] / 2 + np.hypot(b[:, 3], b[:, 4]) / 2
    near = (a[:, 0, None] - b[:, 0]) ** 2 + (a[:, 1, None] - b[:, 1]) ** 2 <= reach**2
    first, second = ([((x, y), (le, w), np.degrees(r)) for x, y, _, le, w, _, r in t.tolist()] for t in (a, b))
    result = np.zeros(near.shape)
    for i, j in np.argwhere(near).tolist():
        kind, points = cv2.rotatedRectangleIntersection(first[i], second[j])
        if kind != cv2.INTERSECT_NONE:
            shared = cv2.contourArea(cv2.convexHull(points))
            result[i, j] = shared / (a[i, 3] * a[i, 4] + b[j, 3] * b[j, 4] - shared)
    return result


def main() -> None:
    """Prints a row a kind of work; fails where a million pairs take longer than they may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boxes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not native.available():
        raise SystemExit(f"the compiled library is not there: {native.reason_absent()}")
    torch.set_num_threads(1)
    generator, count = np.random.default_rng(0), options.boxes
    a, b = (boxes(generator, count, extent=14) for _ in range(2))
    crowd, scores = boxes(generator, 9 * count, extent=140), generator.random(9 * count)
    found = native_boxes.box_overlaps(a, b, native_boxes.FROM_ABOVE)
    error = np.abs(found - opencv(a, b)).max()
    if error > TOLERANCE:
        raise SystemExit(f"ours and OpenCV's differ by {error:.1e}")
    print(f"{found.size} pairs, {(found > 0).mean():.0%} overlap, largest difference to OpenCV {error:.1e}")
    jobs = {
        "compiled, from above": partial(native_boxes.box_overlaps, a, b, native_boxes.FROM_ABOVE),
        "compiled, in space": partial(native_boxes.box_overlaps, a, b, native_boxes.IN_SPACE),
        f"compiled, suppression of {9 * count}": partial(non_maximum_suppression, crowd, scores, 0.1),
        "numpy, from above": partial(rotated_iou.box_overlaps, a, b, native_boxes.FROM_ABOVE),
        "OpenCV, from above": partial(opencv, a, b),
    }
    times = interleave(jobs, options.rounds)
    print(f"{'':>32} {'CPU ms: median [least, largest]':>34} {'to OpenCV':>10}")
    for name, time in times.items():
        ratio = times["OpenCV, from above"].cpu.median / time.cpu.median
        print(f"{name:>32} {time.cpu!s:>34} {'-' if 'suppression' in name else f'{ratio:.1f}':>10}")
    slowest = max(times[name].cpu.median for name in ("compiled, from above", "compiled, in space"))
    if slowest / found.size * 1e6 > LIMIT:
        raise SystemExit(f"a million pairs take {slowest / found.size * 1e6:.0f} ms, more than {LIMIT:.0f}")


if __name__ == "__main__":
    main()
