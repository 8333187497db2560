"""Which published layouts a folder holds."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from spikevox.tasks.datasets.kitti import KittiObjects
from spikevox.tasks.datasets.lidar_file import LidarDataset
from spikevox.tasks.datasets.nuscenes import NuScenes
from spikevox.tasks.datasets.nuscenes_sweep import NuScenesSweeps
from spikevox.tasks.datasets.pandaset import PandaSet
from spikevox.tasks.datasets.semantickitti import SemanticKitti


class Layout(NamedTuple):
    """A data set that was found.

    Attributes:
        folder: every file below it is the data set's.
        open: makes the reader; raises DataFileError.
    """

    folder: Path
    open: Callable[[], LidarDataset]


def find_layouts(folder: Path) -> list[Layout]:
    """Every data set in a folder, itself or below, outermost first."""
    found = list(_layouts(folder))
    if found:
        return found
    return [layout for path in sorted(folder.iterdir()) if path.is_dir() for layout in find_layouts(path)]


def _layouts(folder: Path) -> Iterator[Layout]:
    for part in ("training", "testing"):
        if (folder / part / "velodyne").is_dir():
            yield Layout(folder, partial(KittiObjects, folder, part))
    if any((folder / "sequences").glob("*/velodyne")):
        yield Layout(folder, partial(SemanticKitti, folder))
    for table in sorted(folder.glob("v1.0-*/sample.json")):
        yield Layout(folder, partial(NuScenes, folder, table.parent.name))
    if any(folder.glob("*.pcd.bin")) and any(folder.glob("*.json")):
        yield Layout(folder, partial(NuScenesSweeps, folder))
    if _is_pandaset(folder):
        yield Layout(folder, partial(PandaSet, folder.parent, (folder.name,)))


def _is_pandaset(folder: Path) -> bool:
    if (folder / "lidar" / "poses.json").is_file():
        return True
    return (folder / "classes.json").is_file() and any(path.stem.isdecimal() for path in folder.glob("*.npz"))
