"""Frames of generated streets with the names, numbers and columns of published data sets."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets import kitti, nuscenes, nuscenes_label, pandaset_label, pandaset_published, semantickitti
from spikevox.tasks.datasets.frame import Boxes, LidarFrame
from spikevox.tasks.datasets.street.classes import STREET_CLASSES
from spikevox.tasks.datasets.street.lidar import Lidar
from spikevox.tasks.errors import DataFileError


class _Names(NamedTuple):
    """What a class is called: KITTI's name of its boxes, the others' label numbers; ``moving`` is SemanticKITTI's, 0 for none."""

    kitti: str
    semantickitti: int
    moving: int
    nuscenes: int
    pandaset: int


_TABLE: Mapping[str, _Names] = MappingProxyType(
    {
        "road": _Names("", 40, 0, 24, 7),
        "lane_marking": _Names("", 60, 0, 24, 8),
        "parking": _Names("", 44, 0, 24, 7),
        "sidewalk": _Names("", 48, 0, 26, 11),
        "terrain": _Names("", 72, 0, 27, 6),
        "other_ground": _Names("", 49, 0, 25, 11),
        "building": _Names("", 50, 0, 28, 41),
        "wall": _Names("", 51, 0, 28, 42),
        "fence": _Names("", 51, 0, 28, 42),
        "vegetation": _Names("", 70, 0, 30, 5),
        "trunk": _Names("", 71, 0, 30, 5),
        "pole": _Names("", 80, 0, 28, 42),
        "sign": _Names("", 81, 0, 28, 36),
        "cone": _Names("", 99, 0, 12, 37),
        "other_static": _Names("", 99, 0, 29, 42),
        "reflection": _Names("", 1, 0, 0, 4),
        "car": _Names("Car", 10, 252, 17, 13),
        "van": _Names("Van", 10, 252, 17, 13),
        "pickup": _Names("Car", 10, 252, 23, 14),
        "truck": _Names("Truck", 18, 258, 23, 15),
        "bus": _Names("Misc", 13, 257, 16, 23),
        "construction_vehicle": _Names("Misc", 20, 259, 18, 19),
        "motorcycle": _Names("", 15, 0, 21, 18),
        "bicycle": _Names("", 11, 0, 14, 26),
        "pedestrian": _Names("Pedestrian", 30, 254, 2, 30),
        "cyclist": _Names("Cyclist", 31, 253, 14, 26),
        "motorcyclist": _Names("Misc", 32, 255, 21, 18),
    }
)


def label_numbers(column: str) -> NDArray[np.int64]:
    """(classes,) the number of each class of STREET_CLASSES in ``"pandaset"``, ``"semantickitti"`` or ``"nuscenes"``, or here."""
    if column == "street":
        return np.arange(len(STREET_CLASSES))
    return np.array([getattr(_TABLE[name], column) for name in STREET_CLASSES], dtype=np.int64)


def to_kitti(frame: LidarFrame) -> LidarFrame:
    """Points as they are, and boxes of KITTI's classes; KITTI has neither labels of points nor a pose."""
    boxes = _met_boxes(frame, lambda name: _TABLE[name].kitti)
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
        boxes=_met_boxes(frame, lambda name: nuscenes_label.LABEL_NAMES[_TABLE[name].nuscenes]),
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
        boxes=_met_boxes(frame, lambda name: pandaset_label.LABEL_NAMES[_TABLE[name].pandaset]),
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


def _met_boxes(frame: LidarFrame, rename: Callable[[str], str]) -> Boxes:
    """Boxes of the objects that a ray met and that have a name, under that name."""
    boxes, _, instances = _parts(frame)
    met = np.bincount(instances, minlength=len(boxes) + 1)[1:] > 0
    names = [rename(name) for name in boxes.names]
    rows = [row for row, name in enumerate(names) if met[row] and name]
    return Boxes(
        boxes.centers[rows],
        boxes.sizes[rows],
        boxes.yaw[rows],
        tuple(names[row] for row in rows),
        None if boxes.identities is None else tuple(boxes.identities[row] for row in rows),
        None if boxes.velocities is None else boxes.velocities[rows],
    )
