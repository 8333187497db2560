"""KITTI's object labels: their sixteen columns, and their boxes in LiDAR coordinates."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.atomic import write_atomically
from spikevox.tasks.datasets.frame import Boxes
from spikevox.tasks.datasets.kitti_calibration import IMAGE_SIZE, KittiCalibration
from spikevox.tasks.datasets.lidar_file import numbers, read_text, write_numbers
from spikevox.tasks.errors import DataFileError
from spikevox.tasks.geometry import image_boxes

OBJECT_NAMES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc", "DontCare")


@dataclass(frozen=True)
class KittiLabel:
    """One row of a label or result file; lengths in metres, angles in radians.

    Attributes:
        name: class.
        truncated: share that lies outside the image, 0 to 1; -1 for DontCare.
        occluded: 0 fully visible, 1 partly, 2 largely hidden, 3 unknown; -1 for DontCare.
        alpha: heading as the camera sees it.
        box_2d: left, top, right, bottom in pixels.
        size: height, width, length.
        location: middle of the bottom, in rectified camera coordinates (x right, y down, z forward).
        rotation_y: heading about the camera's y axis, 0 along x.
        score: of a detection; ``None`` in labels.
    """

    name: str
    truncated: float
    occluded: int
    alpha: float
    box_2d: tuple[float, float, float, float]
    size: tuple[float, float, float]
    location: tuple[float, float, float]
    rotation_y: float
    score: float | None = None


def read_labels(path: str | Path) -> tuple[KittiLabel, ...]:
    """Reads ``label_2/NNNNNN.txt`` (15 columns) or detections (16); an empty file is a frame without objects.

    Raises:
        DataFileError: a missing file, or a row of another form; names the row.
    """
    path = Path(path)
    labels = []
    for row, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) not in (15, 16):
            raise DataFileError(f"{path}, row {row}: expected 15 or 16 columns, got {len(words)}.", path)
        if words[0] not in OBJECT_NAMES:
            raise DataFileError(
                f"{path}, row {row}: unknown class {words[0]!r}; there are {', '.join(OBJECT_NAMES)}.", path
            )
        v = [float(value) for value in numbers(words[1:], len(words) - 1, path, row)]
        if words[0] != "DontCare" and min(v[7:10]) <= 0:
            raise DataFileError(f"{path}, row {row}: height, width and length must be positive, got {v[7:10]}.", path)
        labels.append(
            KittiLabel(
                words[0],
                v[0],
                int(v[1]),
                v[2],
                (v[3], v[4], v[5], v[6]),
                (v[7], v[8], v[9]),
                (v[10], v[11], v[12]),
                v[13],
                v[14] if len(v) == 15 else None,
            )
        )
    return tuple(labels)


def write_labels(path: str | Path, labels: Sequence[KittiLabel]) -> None:
    """Writes rows so that reading them gives the same numbers; detections where they have scores."""
    lines = []
    for label in labels:
        values = [label.alpha, *label.box_2d, *label.size, *label.location, label.rotation_y]
        if label.score is not None:
            values.append(label.score)
        lines.append(f"{label.name} {float(label.truncated)!r} {label.occluded} {write_numbers(np.array(values))}\n")
    write_atomically(Path(path), "".join(lines).encode())


def boxes_from_labels(labels: Sequence[KittiLabel], calibration: KittiCalibration) -> Boxes:
    """Boxes in LiDAR coordinates, with scores where all rows have one; DontCare rows have no box.

    The heading goes through the calibration too: the camera is mounted askew by up to a degree, so that
    ``-rotation_y - pi / 2`` is right only nearly.
    """
    real = [label for label in labels if label.name != "DontCare"]
    scores = [label.score for label in real if label.score is not None]
    to_lidar = np.linalg.inv(calibration.rectified_from_lidar())
    sizes = np.array([label.size for label in real], dtype=np.float64).reshape(-1, 3)
    middles = np.array([label.location for label in real], dtype=np.float64).reshape(-1, 3)
    middles[:, 1] -= sizes[:, 0] / 2
    angles = np.array([label.rotation_y for label in real], dtype=np.float64)
    headings = np.stack([np.cos(angles), np.zeros(len(real)), -np.sin(angles)], axis=1) @ to_lidar[:3, :3].T
    return Boxes(
        middles @ to_lidar[:3, :3].T + to_lidar[:3, 3],
        sizes[:, ::-1].copy(),
        np.arctan2(headings[:, 1], headings[:, 0]),
        tuple(label.name for label in real),
        scores=np.array(scores, dtype=np.float64) if scores and len(scores) == len(real) else None,
    )


def labels_from_boxes(
    boxes: Boxes, calibration: KittiCalibration, image_size: tuple[int, int] = IMAGE_SIZE
) -> tuple[KittiLabel, ...]:
    """Label rows of boxes in LiDAR coordinates, the inverse of :func:`boxes_from_labels`.

    ``box_2d`` is the rectangle around what lies before the camera, clipped to the image, and ``truncated`` the share that the
    clipping took; of a box that lies wholly behind the camera both are unknown and -1. ``occluded`` is 3, unknown. Scores of
    detections are kept.
    """
    to_camera = calibration.rectified_from_lidar()
    middles = boxes.centers @ to_camera[:3, :3].T + to_camera[:3, 3]
    to_lidar = np.linalg.inv(to_camera)
    along, across = to_lidar[:2, 0], to_lidar[:2, 2]
    seen = image_boxes(boxes.array(), calibration.image_from_lidar(), image_size)
    labels = []
    for row, name in enumerate(boxes.names):
        # The angle whose heading, seen from above in LiDAR coordinates, points along the yaw: c * along - s * across.
        heading = np.array([np.cos(boxes.yaw[row]), np.sin(boxes.yaw[row])])
        s, c = _cross(along, heading), _cross(across, heading)
        sign = 1.0 if (c * along - s * across) @ heading > 0 else -1.0
        angle = float(np.arctan2(sign * s, sign * c))
        length, width, height = (float(value) for value in boxes.sizes[row])
        x, y, z = (float(value) for value in middles[row])
        left, top, right, bottom = (float(value) for value in seen.boxes[row])
        alpha = float(np.angle(np.exp(1j * (angle - np.arctan2(x, z)))))
        labels.append(
            KittiLabel(
                name,
                float(seen.truncated[row]),
                3,
                alpha,
                (left, top, right, bottom),
                (height, width, length),
                (x, y + height / 2, z),
                angle,
                None if boxes.scores is None else float(boxes.scores[row]),
            )
        )
    return tuple(labels)


def labels_without_camera(boxes: Boxes) -> tuple[KittiLabel, ...]:
    """Label rows of boxes of a data set whose cameras play no part, for KITTI's figures from above and in space.

    The camera looks along x. All boxes are fully visible and 100 pixels high, so that all count at every level; rectangles in
    the image and alpha (-10, unknown) mean nothing.
    """
    rows = zip(
        boxes.names,
        boxes.array().tolist(),
        [None] * len(boxes) if boxes.scores is None else boxes.scores.tolist(),
        strict=True,
    )
    return tuple(
        KittiLabel(
            name, 0.0, 0, -10.0, (0.0, 0.0, 100.0, 100.0), (height, width, length), (-y, height / 2 - z, x),
            float(np.angle(np.exp(-1j * (yaw + np.pi / 2)))), score,
        )
        for name, (x, y, z, length, width, height, yaw), score in rows
    )  # fmt: skip


def _cross(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    return float(a[0] * b[1] - a[1] * b[0])
