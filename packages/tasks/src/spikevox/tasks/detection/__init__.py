"""Detection: boxes around objects, and how well they are found."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.tasks.detection.anchor_head import AnchorHead, BoxChoice
    from spikevox.tasks.detection.anchors import KITTI_CAR, AnchorClass, anchor_grid
    from spikevox.tasks.detection.baseline import BoxBaseline, box_baseline
    from spikevox.tasks.detection.centre_head import CENTRE_CHOICE, NUSCENES_GROUPS, CentreHead
    from spikevox.tasks.detection.centre_loss import (
        CentreOutput,
        CentreWeights,
        GroupOutput,
        centre_losses,
        code_loss,
        heat_loss,
    )
    from spikevox.tasks.detection.centre_targets import (
        CentreTargets,
        Map,
        assign_centres,
        decode_centres,
        encode_centres,
        gaussian_radius,
    )
    from spikevox.tasks.detection.detector import Detector
    from spikevox.tasks.detection.inference import BoxPredictor
    from spikevox.tasks.detection.kitti_ap import KittiResult, KittiRow, kitti_result
    from spikevox.tasks.detection.losses import AnchorOutput, LossWeights, anchor_losses, box_loss, focal_loss
    from spikevox.tasks.detection.metric import DetectionMetric, box_result
    from spikevox.tasks.detection.nuscenes_nds import NuScenesResult, NuScenesRow, nuscenes_result
    from spikevox.tasks.detection.roi_head import RoiHead, RoiOutput
    from spikevox.tasks.detection.roi_loss import RoiWeights, corner_loss, roi_losses
    from spikevox.tasks.detection.roi_targets import RoiSampling, RoiTargets, decode_rois, encode_rois, sample_rois
    from spikevox.tasks.detection.scoring import DetectionScorer
    from spikevox.tasks.detection.single_stage import SingleStageDetector
    from spikevox.tasks.detection.targets import AnchorTargets, assign_anchors
    from spikevox.tasks.detection.two_stage import TwoStageDetector
    from spikevox.tasks.detection.voxel_pool import VoxelPool, query_voxels, roi_grid
    from spikevox.tasks.detection.voxelnext import VoxelNeXt

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "anchor_head": ("AnchorHead", "BoxChoice"),
        "anchors": ("KITTI_CAR", "AnchorClass", "anchor_grid"),
        "baseline": ("BoxBaseline", "box_baseline"),
        "centre_head": ("CENTRE_CHOICE", "NUSCENES_GROUPS", "CentreHead"),
        "centre_loss": (
            "CentreOutput",
            "CentreWeights",
            "GroupOutput",
            "centre_losses",
            "code_loss",
            "heat_loss",
        ),
        "centre_targets": (
            "CentreTargets",
            "Map",
            "assign_centres",
            "decode_centres",
            "encode_centres",
            "gaussian_radius",
        ),
        "detector": ("Detector",),
        "inference": ("BoxPredictor",),
        "kitti_ap": ("KittiResult", "KittiRow", "kitti_result"),
        "losses": ("AnchorOutput", "LossWeights", "anchor_losses", "box_loss", "focal_loss"),
        "metric": ("DetectionMetric", "box_result"),
        "nuscenes_nds": ("NuScenesResult", "NuScenesRow", "nuscenes_result"),
        "roi_head": ("RoiHead", "RoiOutput"),
        "roi_loss": ("RoiWeights", "corner_loss", "roi_losses"),
        "roi_targets": ("RoiSampling", "RoiTargets", "decode_rois", "encode_rois", "sample_rois"),
        "scoring": ("DetectionScorer",),
        "single_stage": ("SingleStageDetector",),
        "targets": ("AnchorTargets", "assign_anchors"),
        "two_stage": ("TwoStageDetector",),
        "voxel_pool": ("VoxelPool", "query_voxels", "roi_grid"),
        "voxelnext": ("VoxelNeXt",),
    },
)
