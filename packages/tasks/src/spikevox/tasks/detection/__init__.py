"""Detection: boxes around objects, and how well they are found."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.tasks.detection.kitti_ap import KittiResult, KittiRow, kitti_result
    from spikevox.tasks.detection.nuscenes_nds import NuScenesResult, NuScenesRow, nuscenes_result

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "kitti_ap": ("KittiResult", "KittiRow", "kitti_result"),
        "nuscenes_nds": ("NuScenesResult", "NuScenesRow", "nuscenes_result"),
    },
)
