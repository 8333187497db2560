"""A small detector on generated streets within some metres, for tests."""

from spikevox.layers.backbones import BevBackbone, Voxel8x
from spikevox.tasks.datasets import DetectionDataset, StreetFrames
from spikevox.tasks.detection import AnchorHead, RoiHead, SingleStageDetector, TwoStageDetector

REACH = 16.0
CAR = {"name": "car", "size": (4.5, 1.8, 1.6), "bottom": -2.15, "matched": 0.5, "unmatched": 0.35}
OPTIONS = {
    "classes": {"car": ["car", "van", "pickup"]},
    "grid": {"voxel_size": (0.1, 0.1, 0.15), "lower": (-REACH, -REACH, -3.4), "upper": (REACH, REACH, 1.4)},
    "columns": ("x", "y", "z", "intensity"),
    "features": ("xyz", "intensity"),
    "reduce": "mean",
    "least_points": 5,
    "min_overlap": {"car": 0.5},
}


def streets(count=1, first_seed=0, **options):
    frames = {"type": StreetFrames, "count": count, "first_seed": first_seed}
    return {"type": DetectionDataset, "frames": frames, **OPTIONS, **options}


def detector(**options):
    cells = round(2 * REACH / 0.1)
    return {
        "type": SingleStageDetector,
        "backbone": {
            "type": Voxel8x, "in_channels": 4, "size": "small", "grid": (cells, cells, 33), "batch_norm_momentum": 0.1,
        },
        "bev": {"type": BevBackbone, "size": "small", "batch_norm_momentum": 0.1},
        "head": {"type": AnchorHead, "anchors": [CAR], "extent": (-REACH, -REACH, REACH, REACH), "in_cells": True},
        "backend": "auto",
        **options,
    }  # fmt: skip


ROI = {
    "type": RoiHead, "voxel_size": (0.1, 0.1, 0.15), "lower": (-REACH, -REACH, -3.4), "size": "small",
    "radii": (0.8, 1.6, 3.2), "dropout": 0.0, "batch_norm_momentum": 0.1,
}  # fmt: skip


def two_stages(**options):
    return detector(type=TwoStageDetector, roi_head=ROI, sampling={"places": 48}, **options)
