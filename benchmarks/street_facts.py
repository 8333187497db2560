"""Facts of generated streets beside those of real scans of PandaSet (Pandar64) and KITTI (HDL-64E).

The generator was fitted by hand on PandaSet's frames 00 to 20 and on KITTI's scans. PandaSet's frames 44 to 52 show the same
street some seconds later and stand beside them. The streets shown are not those of the fit. Facts of PandaSet's objects are
those of one street, not of all.

    SPIKEVOX_DATA=data python benchmarks/street_facts.py --streets 40
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from spikevox.tasks.datasets import (
    CITY,
    HDL64,
    PANDAR64,
    PANDASET_CLASSES,
    STREET_CLASSES,
    SUBURB,
    TO_PANDASET,
    Boxes,
    Facts,
    KittiObjects,
    Lidar,
    LidarFrame,
    PandaSet,
    StreetStyle,
    street_facts,
    street_frame,
)
from spikevox.tasks.datasets.pandaset_label import merge_classes
from spikevox.tasks.datasets.street.statistics import within

BOX_NAMES = {
    "Car": "car",
    "Pickup Truck": "pickup",
    "Medium-sized Truck": "truck",
    "Semi-truck": "truck",
    "Other Vehicle - Construction Vehicle": "construction vehicle",
    "Pedestrian": "pedestrian",
    "Pedestrian with Object": "pedestrian",
    "Cones": "cone",
    "Bicycle": "bicycle",
    "Motorcycle": "motorcycle",
}
PANDASET_SENSOR = 1.97  # metres of the sensor above the origin of PandaSet's vehicle frame, where its beams meet
KITTI_VIEW = np.radians(40.0)  # objects are labelled within the camera's view
KITTI_FOCAL, KITTI_SMALLEST = 721.0, 15.0  # pixels; the smallest labelled object is some 15 high


def pandaset_frame(frame: LidarFrame) -> LidarFrame:
    """A sweep of the Pandar64 with merged classes, from the sensor, intensities from 0 to 1."""
    boxes, labels = frame.boxes, frame.labels
    if boxes is None or labels is None:
        raise SystemExit(f"{frame.source} has no boxes and labels")
    points = frame.points[:, :4] * np.array([1, 1, 1, 1 / 255], dtype=np.float32)
    points[:, 2] -= PANDASET_SENSOR
    names = tuple(BOX_NAMES.get(name, "other") for name in boxes.names)
    boxes = replace(boxes, centers=boxes.centers - [0, 0, PANDASET_SENSOR], names=names)
    return replace(frame, points=points, columns=frame.columns[:4], labels=merge_classes(labels), boxes=boxes)


def kitti_frame(frame: LidarFrame) -> LidarFrame:
    """A scan of KITTI's object set with the names of its boxes as ours are."""
    if frame.boxes is None:
        raise SystemExit(f"{frame.source} has no boxes")
    return replace(frame, boxes=replace(frame.boxes, names=tuple(name.lower() for name in frame.boxes.names)))


def as_pandaset(frame: LidarFrame) -> LidarFrame:
    """A generated frame with PandaSet's merged classes."""
    boxes = frame.boxes
    if boxes is None or frame.labels is None:
        raise SystemExit("a generated frame has boxes and labels")
    numbers = [int(TO_PANDASET[STREET_CLASSES.index(name)]) for name in boxes.names]
    names = [
        PANDASET_CLASSES[number] if number >= 0 else name for number, name in zip(numbers, boxes.names, strict=True)
    ]
    return replace(frame, labels=TO_PANDASET[frame.labels], boxes=replace(boxes, names=tuple(names)))


def as_kitti(frame: LidarFrame) -> LidarFrame:
    """A generated frame with the boxes that KITTI would label."""
    boxes = frame.boxes
    if boxes is None:
        raise SystemExit("a generated frame has boxes")
    ahead = np.abs(np.arctan2(boxes.centers[:, 1], boxes.centers[:, 0])) < KITTI_VIEW
    known = {
        "car": "car",
        "pickup": "car",
        "van": "van",
        "truck": "truck",
        "pedestrian": "pedestrian",
        "cyclist": "cyclist",
    }
    away = np.linalg.norm(boxes.centers, axis=1)
    ahead &= boxes.sizes[:, 2] * KITTI_FOCAL > KITTI_SMALLEST * away
    rows = [row for row in np.flatnonzero(ahead) if boxes.names[row] in known]
    kept = Boxes(boxes.centers[rows], boxes.sizes[rows], boxes.yaw[rows], tuple(known[boxes.names[r]] for r in rows))
    return replace(frame, labels=None, boxes=kept)


def generated(seeds: range, lidar: Lidar, style: StreetStyle) -> list[LidarFrame]:
    """One frame of each street."""
    return [street_frame(seed, lidar=lidar, style=style) for seed in seeds]


def report(title: str, made: Facts, real: dict[str, Facts]) -> None:
    """Prints a row a fact and, for each set of real scans, how many lie within a factor of 1.5."""
    print(f"\n{title}\n{'':>46}{'made':>10}" + "".join(f"{name:>10}{'ratio':>8}{'':>4}" for name in real))
    for name, value in made.values.items():
        row = f"{name:>46}{value:>10.4g}"
        for facts in real.values():
            ratio = made.ratios(facts).get(name)
            told = facts.values.get(name)
            row += f"{'-' if told is None else format(told, '.4g'):>10}"
            row += f"{'-':>8}{'':>4}" if ratio is None else f"{ratio:>8.2f}{'  ok' if within(ratio) else '    '}"
        print(row)
    for name, facts in real.items():
        ratios = made.ratios(facts)
        absent = sorted(set(facts.values) - set(made.values))
        good = sum(within(ratio) for ratio in ratios.values())
        print(
            f"{title}, {name}: {good} of {len(ratios)} within a factor of 1.5; not made: {', '.join(absent) or 'none'}"
        )


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streets", type=int, default=40)
    parser.add_argument("--first-seed", type=int, default=5000, help="fitted with seeds up to 2039")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SPIKEVOX_DATA", "data")))
    options = parser.parse_args()
    pandaset = PandaSet(options.data / "pandaset", ("002",), sensor=0)
    kitti = KittiObjects(options.data / "kitti", "training")
    real = {
        name: street_facts([pandaset_frame(pandaset.frame(row)) for row in rows], PANDASET_CLASSES)
        for name, rows in {"fit": range(6), "check": range(11, 14)}.items()
    }
    seeds = range(options.first_seed, options.first_seed + options.streets)
    frames = [as_pandaset(frame) for frame in generated(seeds, PANDAR64, CITY)]
    report("PandaSet", street_facts(frames, PANDASET_CLASSES), real)
    frames = [as_kitti(frame) for frame in generated(seeds, HDL64, SUBURB)]
    report(
        "KITTI", street_facts(frames), {"fit": street_facts(kitti_frame(kitti.frame(row)) for row in range(len(kitti)))}
    )


if __name__ == "__main__":
    main()
