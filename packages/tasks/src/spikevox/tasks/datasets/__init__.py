"""Data sets: one file format a file."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.tasks.datasets.base import PointDataset, PointPipeline, VoxelDataset
    from spikevox.tasks.datasets.frame import Boxes, LidarFrame
    from spikevox.tasks.datasets.modelnet import ModelNet
    from spikevox.tasks.datasets.modelnet40 import ModelNetResampled
    from spikevox.tasks.datasets.points import PointFile, read_points
    from spikevox.tasks.datasets.prepare import Prepared, prepare_modelnet
    from spikevox.tasks.datasets.sampling import farthest_points, sample_surface
    from spikevox.tasks.datasets.scan import Scanner
    from spikevox.tasks.datasets.segmentation import LabelledBatch, LabelledCloud, LabelledFrames, SegmentationDataset
    from spikevox.tasks.datasets.shapes import GeneratedShapes

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "base": ("PointDataset", "PointPipeline", "VoxelDataset"),
        "frame": ("Boxes", "LidarFrame"),
        "modelnet": ("ModelNet",),
        "modelnet40": ("ModelNetResampled",),
        "points": ("PointFile", "read_points"),
        "prepare": ("Prepared", "prepare_modelnet"),
        "sampling": ("farthest_points", "sample_surface"),
        "scan": ("Scanner",),
        "segmentation": ("LabelledBatch", "LabelledCloud", "LabelledFrames", "SegmentationDataset"),
        "shapes": ("GeneratedShapes",),
    },
)
