"""Point clouds and signals to counted voxels and spike trains."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.encoding.batch import VoxelBatch, collate
    from spikevox.encoding.errors import CoordinateRangeError, PointCloudError, SpikevoxError
    from spikevox.encoding.grid import VoxelGrid
    from spikevox.encoding.labels import labels_to_points, majority_labels
    from spikevox.encoding.points import check_points
    from spikevox.encoding.report import VoxelReport
    from spikevox.encoding.voxels import Voxels, voxelize

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "batch": ("VoxelBatch", "collate"),
        "errors": ("CoordinateRangeError", "PointCloudError", "SpikevoxError"),
        "grid": ("VoxelGrid",),
        "labels": ("labels_to_points", "majority_labels"),
        "points": ("check_points",),
        "report": ("VoxelReport",),
        "voxels": ("Voxels", "voxelize"),
    },
    distribution="spikevox-encoding",
)
