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
    Lidar,
    LidarFrame,
    StreetStyle,
    street_facts,
    street_frame,
)
from spikevox.tasks.datasets.street_statistics import within

# Number in PandaSet to class among PANDASET_CLASSES.
MERGED = {5: 0, 6: 1, 7: 1, 8: 2, 9: 2, 10: 2, 11: 3, 12: 3, 13: 4, 14: 5, 15: 6, 19: 7, 30: 8, 31: 8, 36: 9, 37: 10,
          41: 11, 42: 12, 4: 13}  # fmt: skip
BOX_NAMES = {
    "Car": "car",
    "Pickup Truck": "pickup",
    "Medium-sized Truck": "truck",
    "Semi-truck": "truck",
    "Other Vehicle - Construction Vehicle": "construction_vehicle",
    "Pedestrian": "pedestrian",
    "Pedestrian with Object": "pedestrian",
    "Cones": "cone",
    "Bicycle": "bicycle",
    "Motorcycle": "motorcycle",
}
PANDASET_SENSOR = 1.97  # metres of the sensor above the origin of PandaSet's vehicle frame, where its beams meet
KITTI_VIEW = np.radians(40.0)  # objects are labelled within the camera's view
KITTI_FOCAL, KITTI_SMALLEST = 721.0, 15.0  # pixels; the smallest labelled object is some 15 high


def pandaset_frame(file: Path) -> LidarFrame:
    """A sweep of the Pandar64, from the sensor, x forward."""
    with np.load(file, allow_pickle=False) as data:
        spinning = data["sensor"] == 0
        right, forward, up = data["xyz_cm"][spinning].T / 100.0
        points = np.stack([forward, -right, up - PANDASET_SENSOR, data["intensity"][spinning] / 255.0], axis=1)
        table = np.full(256, -1)
        table[list(MERGED)] = list(MERGED.values())
        width, length, height = data["box_size"].T.astype(np.float64)
        x, y, z = data["box_center"].T.astype(np.float64)
        boxes = Boxes(
            centers=np.stack([y, -x, z - PANDASET_SENSOR], axis=1),
            sizes=np.stack([length, width, height], axis=1),
            yaw=data["box_yaw"].astype(np.float64),
            names=tuple(BOX_NAMES.get(name, "other") for name in data["box_label"]),
        )
        labels = table[data["semseg"][spinning]]
    return LidarFrame(points.astype(np.float32), ("x", "y", "z", "intensity"), str(file), labels=labels, boxes=boxes)


def kitti_frame(file: Path) -> LidarFrame:
    """A scan of KITTI's object set with its 3D boxes, in the sensor's frame."""
    root = file.parent.parent
    points = np.fromfile(file, np.float32).reshape(-1, 4)
    calibration = {
        line.split(":")[0]: np.array(line.split(":")[1].split(), dtype=np.float64)
        for line in (root / "calib" / f"{file.stem}.txt").read_text().splitlines()
        if ":" in line
    }
    move = calibration["Tr_velo_to_cam"].reshape(3, 4)
    turn = calibration["R0_rect"].reshape(3, 3)
    rows = [line.split() for line in (root / "label_2" / f"{file.stem}.txt").read_text().splitlines()]
    rows = [row for row in rows if row[0] != "DontCare"]
    numbers = np.array([row[8:15] for row in rows], dtype=np.float64).reshape(-1, 7)
    height, width, length = numbers[:, :3].T
    bottom = (np.linalg.inv(turn) @ numbers[:, 3:6].T - move[:, 3:]).T @ move[:, :3]
    boxes = Boxes(
        centers=bottom + np.stack([0 * height, 0 * height, height / 2], axis=1),
        sizes=np.stack([length, width, height], axis=1),
        yaw=-numbers[:, 6] - np.pi / 2,
        names=tuple(row[0].lower() for row in rows),
    )
    return LidarFrame(points, ("x", "y", "z", "intensity"), str(file), boxes=boxes)


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
    folder = options.data / "pandaset" / "002"
    scans = sorted((options.data / "kitti" / "training" / "velodyne").glob("*.bin"))
    if not folder.is_dir() or not scans:
        raise SystemExit(
            f"no pandaset/002 and kitti/training in {options.data}: set SPIKEVOX_DATA to the data's folder"
        )
    real = {
        name: street_facts([pandaset_frame(folder / f"{k:02d}.npz") for k in numbers], PANDASET_CLASSES)
        for name, numbers in {"fit": range(0, 21, 4), "check": range(44, 53, 4)}.items()
    }
    seeds = range(options.first_seed, options.first_seed + options.streets)
    frames = [as_pandaset(frame) for frame in generated(seeds, PANDAR64, CITY)]
    report("PandaSet", street_facts(frames, PANDASET_CLASSES), real)
    frames = [as_kitti(frame) for frame in generated(seeds, HDL64, SUBURB)]
    report("KITTI", street_facts(frames), {"fit": street_facts([kitti_frame(file) for file in scans])})


if __name__ == "__main__":
    main()
