"""Label rows and boxes of the dictionaries that the oracles work on."""

import numpy as np

from spikevox.tasks.datasets import Boxes, KittiLabel

CATEGORY = {"car": "vehicle.car", "pedestrian": "human.pedestrian.child", "bicycle": "vehicle.bicycle"}
UNKNOWN = (float("nan"), float("nan"))


def kitti_label(box):
    return KittiLabel(
        box["name"], box["truncated"], box["occluded"], box["alpha"], box["rectangle"], box["size"], box["location"],
        box["rotation_y"], box.get("score"),
    )  # fmt: skip


def boxes_of(found, *, truth, categories=False):
    """Ground truth has counts of points, detections have scores."""
    return Boxes(
        np.array([box["place"] for box in found], dtype=np.float64).reshape(-1, 3),
        np.array([box["size"] for box in found], dtype=np.float64).reshape(-1, 3),
        np.array([box["yaw"] for box in found], dtype=np.float64),
        tuple(CATEGORY.get(box["name"], box["name"]) if categories else box["name"] for box in found),
        velocities=np.array([box["velocity"] or UNKNOWN for box in found]).reshape(-1, 2),
        attributes=tuple(box["attribute"] for box in found),
        point_counts=np.array([box["points"] for box in found], dtype=np.int64) if truth else None,
        scores=None if truth else np.array([box["score"] for box in found], dtype=np.float64),
    )
