"""One labelled scan of SemanticKITTI and one of PandaSet; where they are not there, a generated street in their format."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spikevox.tasks.datasets import (
    CITY,
    HDL64,
    PANDAR64,
    SUBURB,
    TO_PANDASET,
    TO_SEMANTICKITTI,
    LidarFrame,
    PandaSet,
    SemanticKitti,
    Street,
    write_pandaset_frame,
    write_semantickitti,
)
from spikevox.tasks.datasets.pandaset_label import FOURTEEN
from spikevox.tasks.datasets.semantickitti_label import to_label_numbers


class Scan(NamedTuple):
    """A frame of a data set on disk.

    Attributes:
        root: folder of the data set.
        title: what it is.
    """

    root: Path
    title: str


def semantickitti(data: Path, scratch: Path) -> Scan:
    """Scan 000000 of sequence 00; a generated one is written into ``scratch``."""
    root = data / "semantickitti"
    if (root / "sequences" / "00" / "velodyne" / "000000.bin").is_file():
        return Scan(root, "SemanticKITTI 00/000000")
    frame = Street(0, lidar=HDL64, style=SUBURB).frame(0)
    labels = to_label_numbers(TO_SEMANTICKITTI[_labels(frame)])
    write_semantickitti(scratch, "00", [replace(frame, labels=labels)])
    return Scan(scratch, "a generated street, HDL-64E")


def semantickitti_frames(root: Path) -> SemanticKitti:
    """The reader of :func:`semantickitti`'s scan: its frame 0."""
    return SemanticKitti(root, ["00"])


def pandaset(data: Path, scratch: Path) -> Scan:
    """Scan 44 of sequence 002, the first of those that the shipped network is tested on; or a generated one."""
    root = data / "pandaset"
    if (root / "002" / "44.npz").is_file():
        return Scan(root, "PandaSet 002/44, Pandar64")
    frame = Street(0, lidar=PANDAR64, style=CITY).frame(0)
    # The last one stands for -1: unlabelled.
    numbers = np.array([*(taken[0] for taken in FOURTEEN.values()), 0])
    points = np.column_stack([frame.points * np.float32([1, 1, 1, 255]), np.zeros(len(frame.points), np.float32)])
    columns = (*frame.columns, "sensor")
    write_pandaset_frame(
        *(scratch, "002", 44),
        replace(frame, points=points, columns=columns, labels=numbers[TO_PANDASET[_labels(frame)]]),
    )
    return Scan(scratch, "a generated street, Pandar64")


def pandaset_frames(root: Path) -> PandaSet:
    """The reader of :func:`pandaset`'s scan, its first sensor alone."""
    return PandaSet(root, ["002"], sensor=0)


def _labels(frame: LidarFrame) -> np.ndarray:
    if frame.labels is None:
        raise SystemExit(f"{frame.source} has no labels")
    return frame.labels
