"""Data sets: one file format a file."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.tasks.datasets.aligned import AlignedFrames
    from spikevox.tasks.datasets.balance import balanced_rows
    from spikevox.tasks.datasets.base import PointDataset, PointPipeline, VoxelDataset
    from spikevox.tasks.datasets.box_file import read_boxes, write_boxes
    from spikevox.tasks.datasets.box_labels import BoxLabels
    from spikevox.tasks.datasets.cut import CutFrames
    from spikevox.tasks.datasets.detection import BoxedCloud, DetectionBatch, DetectionDataset, map_boxes
    from spikevox.tasks.datasets.frame import Boxes, LidarFrame
    from spikevox.tasks.datasets.joined import JoinedFrames
    from spikevox.tasks.datasets.kitti import KittiObjects, write_kitti_frame
    from spikevox.tasks.datasets.kitti_calibration import KittiCalibration, crop_to_view
    from spikevox.tasks.datasets.kitti_label import (
        KittiLabel,
        boxes_from_labels,
        labels_from_boxes,
        labels_without_camera,
        read_labels,
        write_labels,
    )
    from spikevox.tasks.datasets.labelled_side import LabelledSide
    from spikevox.tasks.datasets.modelnet import ModelNet
    from spikevox.tasks.datasets.modelnet40 import ModelNetResampled
    from spikevox.tasks.datasets.nuscenes import NuScenes
    from spikevox.tasks.datasets.nuscenes_results import read_nuscenes_results, write_nuscenes_results
    from spikevox.tasks.datasets.nuscenes_sweep import NuScenesSweeps, read_annotated_sweep
    from spikevox.tasks.datasets.nuscenes_writer import write_nuscenes
    from spikevox.tasks.datasets.object_bank import ObjectBank
    from spikevox.tasks.datasets.pandaset import PandaSet, write_pandaset_frame
    from spikevox.tasks.datasets.pandaset_writer import write_pandaset
    from spikevox.tasks.datasets.pasting import PasteObjects, join_boxes
    from spikevox.tasks.datasets.points import PointFile, read_points
    from spikevox.tasks.datasets.prepare import Prepared, prepare_modelnet
    from spikevox.tasks.datasets.restricted_pickle import read_table
    from spikevox.tasks.datasets.sampling import farthest_points, sample_surface
    from spikevox.tasks.datasets.scan import Scanner
    from spikevox.tasks.datasets.segmentation import LabelledBatch, LabelledCloud, LabelledFrames, SegmentationDataset
    from spikevox.tasks.datasets.semantickitti import SemanticKitti, write_semantickitti
    from spikevox.tasks.datasets.shapes import GeneratedShapes
    from spikevox.tasks.datasets.street.classes import (
        BOXED_CLASSES,
        PANDASET_CLASSES,
        SEMANTICKITTI_CLASSES,
        STREET_CLASSES,
        TO_PANDASET,
        TO_SEMANTICKITTI,
    )
    from spikevox.tasks.datasets.street.folder import MadeStreets, make_streets
    from spikevox.tasks.datasets.street.frames import StreetFrames
    from spikevox.tasks.datasets.street.lidar import HDL32, HDL64, PANDAR64, Lidar
    from spikevox.tasks.datasets.street.scene import Street, street_frame
    from spikevox.tasks.datasets.street.statistics import Facts, street_facts
    from spikevox.tasks.datasets.street.style import CITY, SUBURB, StreetStyle

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "aligned": ("AlignedFrames",),
        "balance": ("balanced_rows",),
        "base": ("PointDataset", "PointPipeline", "VoxelDataset"),
        "box_file": ("read_boxes", "write_boxes"),
        "box_labels": ("BoxLabels",),
        "cut": ("CutFrames",),
        "detection": ("BoxedCloud", "DetectionBatch", "DetectionDataset", "map_boxes"),
        "frame": ("Boxes", "LidarFrame"),
        "joined": ("JoinedFrames",),
        "kitti": ("KittiObjects", "write_kitti_frame"),
        "kitti_calibration": ("KittiCalibration", "crop_to_view"),
        "kitti_label": (
            "KittiLabel",
            "boxes_from_labels",
            "labels_from_boxes",
            "labels_without_camera",
            "read_labels",
            "write_labels",
        ),
        "street.lidar": ("HDL32", "HDL64", "PANDAR64", "Lidar"),
        "modelnet": ("ModelNet",),
        "modelnet40": ("ModelNetResampled",),
        "nuscenes": ("NuScenes",),
        "nuscenes_results": ("read_nuscenes_results", "write_nuscenes_results"),
        "nuscenes_sweep": ("NuScenesSweeps", "read_annotated_sweep"),
        "nuscenes_writer": ("write_nuscenes",),
        "object_bank": ("ObjectBank",),
        "pandaset": ("PandaSet", "write_pandaset_frame"),
        "pandaset_writer": ("write_pandaset",),
        "pasting": ("PasteObjects", "join_boxes"),
        "points": ("PointFile", "read_points"),
        "prepare": ("Prepared", "prepare_modelnet"),
        "labelled_side": ("LabelledSide",),
        "restricted_pickle": ("read_table",),
        "sampling": ("farthest_points", "sample_surface"),
        "scan": ("Scanner",),
        "segmentation": ("LabelledBatch", "LabelledCloud", "LabelledFrames", "SegmentationDataset"),
        "semantickitti": ("SemanticKitti", "write_semantickitti"),
        "shapes": ("GeneratedShapes",),
        "street.scene": ("Street", "street_frame"),
        "street.classes": (
            "BOXED_CLASSES",
            "PANDASET_CLASSES",
            "SEMANTICKITTI_CLASSES",
            "STREET_CLASSES",
            "TO_PANDASET",
            "TO_SEMANTICKITTI",
        ),
        "street.folder": ("MadeStreets", "make_streets"),
        "street.frames": ("StreetFrames",),
        "street.statistics": ("Facts", "street_facts"),
        "street.style": ("CITY", "SUBURB", "StreetStyle"),
    },
)
