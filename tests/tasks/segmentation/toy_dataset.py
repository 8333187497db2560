"""A data set of toy scenes."""

from typing import ClassVar

from oracles.toy_scene import scene
from spikevox.tasks.datasets import LidarFrame, SegmentationDataset

OPTIONS = {
    "grid": {"voxel_size": 0.5, "origin": "minimum"},
    "columns": ("x", "y", "z", "intensity"),
    "features": ("xyz", "intensity"),
}


class ToyScenes(SegmentationDataset):
    class_names = ("box", "ground", "wall")
    class_map: ClassVar = {0: -1, 10: 0, 252: 0, 40: 1, 50: 2}

    def __init__(self, split="train", *, count=6, points=400, **options):
        super().__init__(**{**OPTIONS, **options})
        self.split, self.count, self.size = split, count, points

    def __len__(self):
        return self.count

    def read(self, index):
        offset = {"train": 0, "val": 1000, "test": 2000}[self.split]
        points, labels = scene(offset + index, self.size)
        return LidarFrame(points, ("x", "y", "z", "intensity"), f"{self.split}/{index:03d}", labels=labels)
