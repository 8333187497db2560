"""One labelled scan of each of some data sets; where they are not there, a generated street in their format."""

from pathlib import Path
from typing import NamedTuple

from spikevox.tasks.datasets import (
    CITY,
    HDL64,
    PANDAR64,
    SUBURB,
    KittiObjects,
    NuScenes,
    NuScenesSweeps,
    PandaSet,
    SemanticKitti,
    Street,
    make_streets,
    write_pandaset_frame,
    write_semantickitti,
)
from spikevox.tasks.datasets.street.published import to_pandaset, to_semantickitti

KITTI_FRAME = "000008"


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
    write_semantickitti(scratch, "00", [to_semantickitti(frame, frame)])
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
    write_pandaset_frame(scratch, "002", 44, to_pandaset(frame))
    return Scan(scratch, "a generated street, Pandar64")


def pandaset_frames(root: Path) -> PandaSet:
    """The reader of :func:`pandaset`'s scan, its first sensor alone."""
    return PandaSet(root, ["002"], sensor=0)


def kitti(data: Path, scratch: Path) -> Scan:
    """Scan 000008 of the object detection's training, with six cars; or a generated one."""
    root = data / "kitti"
    if (root / "training" / "velodyne" / f"{KITTI_FRAME}.bin").is_file():
        return Scan(root, f"KITTI training/{KITTI_FRAME}, before the camera")
    make_streets(scratch, "kitti", streets=1, sweeps=1)
    return Scan(scratch, "a generated street, HDL-64E, before the camera")


def kitti_frames(root: Path) -> KittiObjects:
    """The reader of the folder of :func:`kitti`'s scan."""
    return KittiObjects(root, "training", crop=True)


def nuscenes(data: Path, scratch: Path) -> Scan:
    """The first annotated sweep of a folder of single ones; or a generated one."""
    root = data / "nuscenes"
    if any(root.glob("*.json")):
        return Scan(root, f"the sweep {NuScenesSweeps(root).frames[0]} of nuScenes")
    make_streets(scratch, "nuscenes", streets=1, sweeps=1)
    return Scan(scratch, "a generated street, HDL-32E")


def nuscenes_frames(root: Path) -> NuScenesSweeps | NuScenes:
    """The reader of :func:`nuscenes`'s sweep: its frame 0."""
    return NuScenesSweeps(root) if any(root.glob("*.json")) else NuScenes(root)
