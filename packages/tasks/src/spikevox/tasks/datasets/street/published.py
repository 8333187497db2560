"""Frames of generated streets with the names, numbers and columns of published data sets."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets import kitti, nuscenes, nuscenes_label, pandaset_label, pandaset_published, semantickitti
from spikevox.tasks.datasets.frame import Boxes, LidarFrame
from spikevox.tasks.datasets.street.classes import CLASS_NUMBERS, STREET_TABLE, StreetClass, label_numbers
from spikevox.tasks.datasets.street.lidar import Lidar
from spikevox.tasks.errors import DataFileError


def to_kitti(frame: LidarFrame) -> LidarFrame:
    """Points as they are, and boxes of KITTI's classes; KITTI has neither labels of points nor a pose."""
    boxes = _met_boxes(frame, lambda row: row.kitti)
    return LidarFrame(frame.points, kitti.COLUMNS, frame.source, boxes=replace(boxes, identities=None, velocities=None))


def to_semantickitti(frame: LidarFrame, first: LidarFrame) -> LidarFrame:
    """Points as they are with SemanticKITTI's labels, objects that move apart from those that stand, and instances.

    Args:
        frame: of a street.
        first: frame of the sequence, whose coordinates become those of the world.
    """
    boxes, labels, instances = _parts(frame)
    still, moving = label_numbers("semantickitti"), label_numbers("moving")
    # Instances count from 1.
    moves = np.append(False, np.asarray(boxes.velocities).any(axis=1))[instances]
    numbers = np.where(moves & (moving[labels] > 0), moving[labels], still[labels])
    # The first pose is the identity to the last digit.
    pose = np.eye(4) if frame is first else np.linalg.inv(first.pose) @ frame.pose  # type: ignore[arg-type,operator]
    return replace(frame, columns=semantickitti.COLUMNS, labels=numbers, boxes=None, pose=pose)


def to_nuscenes(frame: LidarFrame, lidar: Lidar, start: float = 0.0) -> LidarFrame:
    """Intensities as whole numbers of 0 to 255, the ring of each point, lidarseg's labels, boxes by category.

    Args:
        frame: of a street.
        lidar: what saw it.
        start: seconds on the data set's clock at which the street begins.
    """
    numbers = label_numbers("nuscenes")
    points = np.column_stack([frame.points[:, :3], _bytes(frame.points[:, 3]), rings(frame.points, lidar)])
    return replace(
        frame,
        points=points.astype(np.float32),
        columns=nuscenes.COLUMNS,
        labels=numbers[_parts(frame)[1]],
        instances=None,
        time=None if frame.time is None else start + frame.time,
        boxes=_met_boxes(frame, lambda row: nuscenes_label.LABEL_NAMES[row.nuscenes]),
    )


def to_pandaset(frame: LidarFrame) -> LidarFrame:
    """Intensities as whole numbers of 0 to 255, all from sensor 0, PandaSet's labels, boxes by the same names."""
    numbers = label_numbers("pandaset")
    points = np.column_stack([frame.points[:, :3], _bytes(frame.points[:, 3]), np.zeros(len(frame.points))])
    return replace(
        frame,
        points=points.astype(np.float32),
        columns=pandaset_published.COLUMNS,
        labels=numbers[_parts(frame)[1]],
        instances=None,
        boxes=_met_boxes(frame, lambda row: pandaset_label.LABEL_NAMES[row.pandaset]),
    )


def rings(points: NDArray[np.floating], lidar: Lidar) -> NDArray[np.int64]:
    """(P,) the beam of each point (P, 3 or more) in the sensor's coordinates, 0 for the lowest: the nearest in elevation."""
    slope = points[:, 2] / np.maximum(np.hypot(points[:, 0], points[:, 1]), 1e-9)
    between = np.tan((np.arctan(lidar.tangents[1:]) + np.arctan(lidar.tangents[:-1])) / 2)
    return np.searchsorted(between, slope)


def _bytes(intensity: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.rint(intensity * 255)


def _parts(frame: LidarFrame) -> tuple[Boxes, NDArray[np.int64], NDArray[np.int64]]:
    """Boxes, labels and instances, which a street's frame always has."""
    if frame.boxes is None or frame.labels is None or frame.instances is None:
        raise DataFileError(
            f"{frame.source} is no frame of a street: it lacks boxes, labels or instances.", frame.source
        )
    return frame.boxes, frame.labels, frame.instances


def _met_boxes(frame: LidarFrame, called: Callable[[StreetClass], str]) -> Boxes:
    """Boxes of the objects that a ray met and that have a name, under that name."""
    boxes, _, instances = _parts(frame)
    met = np.bincount(instances, minlength=len(boxes) + 1)[1:] > 0
    names = [called(STREET_TABLE[CLASS_NUMBERS[name]]) for name in boxes.names]
    rows = [row for row, name in enumerate(names) if met[row] and name]
    return Boxes(
        boxes.centers[rows],
        boxes.sizes[rows],
        boxes.yaw[rows],
        tuple(names[row] for row in rows),
        None if boxes.identities is None else tuple(boxes.identities[row] for row in rows),
        None if boxes.velocities is None else boxes.velocities[rows],
    )
