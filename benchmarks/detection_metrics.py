"""Time of the detection metrics on as many frames as the validation sets of KITTI and nuScenes have, on one core.

Objects are made up: as many a frame as there, each found by detections close to it, with false ones besides. A metric may
take a minute; it runs after every epoch of a training.

    python benchmarks/detection_metrics.py --share 1
"""

import argparse
import time

import numpy as np
import torch

from spikevox.tasks.datasets import Boxes, KittiLabel
from spikevox.tasks.datasets.nuscenes_label import DETECTION_NAMES
from spikevox.tasks.detection import kitti_result, nuscenes_result

LIMIT = 60.0  # seconds
KITTI_FRAMES, NUSCENES_FRAMES = 3769, 6019


def kitti_frame(generator: np.random.Generator) -> tuple[list[KittiLabel], list[KittiLabel]]:
    """Some ten objects of a frame, and detections that find them, some twice, and some that find nothing."""
    names = ("Car", "Car", "Car", "Car", "Van", "Pedestrian", "Cyclist", "Truck", "DontCare")
    truth, found = [], []
    for _ in range(int(generator.integers(4, 16))):
        left, top, x, z = generator.uniform([0, 100, -20, 5], [1100, 200, 20, 60])
        width, height = generator.uniform(20, 150), generator.uniform(20, 120)
        size = tuple(generator.uniform([1.4, 1.5, 3.2], [1.7, 1.8, 4.5]).tolist())
        name = str(generator.choice(names))
        box = (left, top, left + width, top + height)
        truth.append(KittiLabel(name, 0.0, int(generator.integers(0, 3)), 0.5, box, size, (x, 1.6, z), 0.5))
        for _ in range(int(generator.integers(1, 4))):
            moved = tuple((np.array(box) + generator.normal(0, 3, 4)).tolist())
            place, turn = (
                (x + generator.normal(0, 0.2), 1.6, z + generator.normal(0, 0.2)),
                0.5 + generator.normal(0, 0.1),
            )
            kind = "Car" if name == "DontCare" else name
            found.append(KittiLabel(kind, 0.0, 0, 0.5, moved, size, place, turn, float(generator.random())))
    return truth, found


def nuscenes_frame(generator: np.random.Generator) -> tuple[Boxes, Boxes]:
    """Some 34 objects of a frame and 300 detections, half of them near an object."""
    count, detections = int(generator.integers(10, 60)), 300
    names = generator.choice(DETECTION_NAMES, count)
    centers = generator.uniform(-50, 50, (count, 3)) * [1, 1, 0.02]
    nearest = generator.integers(0, count, detections)
    near = centers[nearest] + generator.normal(0, 1, (detections, 3))
    anywhere = generator.uniform(-50, 50, (detections, 3)) * [1, 1, 0.02]
    at = np.where(generator.random((detections, 1)) < 0.5, near, anywhere)
    sides = [
        Boxes(
            places,
            generator.uniform(1, 4, (len(places), 3)),
            generator.uniform(-3, 3, len(places)),
            tuple(map(str, kinds)),
            velocities=generator.normal(0, 2, (len(places), 2)),
            scores=scores,
        )
        for places, kinds, scores in ((centers, names, None), (at, names[nearest], generator.random(detections)))
    ]
    return sides[0], sides[1]


def main() -> None:
    """Prints a row a metric; fails where one takes longer than it may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the frames; the time is scaled to all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    slowest = 0.0
    print(f"{'':>9} {'frames':>7} {'objects':>8} {'detections':>11} {'CPU s':>7} {'of all frames':>14}")
    for name, frames, make, score in (
        ("KITTI", KITTI_FRAMES, kitti_frame, kitti_result),
        ("nuScenes", NUSCENES_FRAMES, nuscenes_frame, nuscenes_result),
    ):
        count = max(1, round(frames * options.share))
        truth, found = zip(*(make(generator) for _ in range(count)), strict=True)
        start = time.process_time()
        score(truth, found)
        taken = time.process_time() - start
        slowest = max(slowest, taken * frames / count)
        totals = [sum(map(len, side)) for side in (truth, found)]
        print(f"{name:>9} {count:>7} {totals[0]:>8} {totals[1]:>11} {taken:>7.1f} {taken * frames / count:>14.1f}")
    if slowest > LIMIT:
        raise SystemExit(f"a metric takes {slowest:.0f} s, more than {LIMIT:.0f}")


if __name__ == "__main__":
    main()
