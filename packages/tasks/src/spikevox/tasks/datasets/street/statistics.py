"""Facts by which sweeps are compared: how many points lie where, and how objects are seen."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.frame import Boxes, LidarFrame
from spikevox.tasks.errors import DataFileError

# Degrees; none is the elevation of a beam, which would fall to one side or the other.
ELEVATIONS = (-30.0, -16.5, -10.4, -6.4, -4.1, -2.1, -0.1, 2.4, 5.6, 16.0)
RANGES = (0.0, 5.0, 10.0, 20.0, 30.0, 50.0, 80.0, 200.0)  # metres
DISTANCES = (0.0, 10.0, 20.0, 30.0, 40.0, 60.0, 80.0)  # metres
FEW_POINTS = 20


@dataclass(frozen=True)
class Facts:
    """Numbers of a set of sweeps, by name.

    Attributes:
        values: each fact; one that the sweeps do not tell is absent.
    """

    values: dict[str, float]

    def ratios(self, other: "Facts") -> dict[str, float]:
        """These facts divided by those of the other sweeps, where both tell them and the other's is not 0."""
        return {
            name: value / other.values[name] for name, value in self.values.items() if other.values.get(name, 0.0) > 0
        }


def within(ratio: float, factor: float = 1.5) -> bool:
    """Whether a ratio lies between ``1 / factor`` and ``factor``."""
    return 1 / factor <= ratio <= factor


def street_facts(frames: Iterable[LidarFrame], class_names: Sequence[str] = ()) -> Facts:
    """Facts of sweeps whose coordinates begin at the sensor.

    Args:
        frames: sweeps, of the same sensor.
        class_names: names of the frames' labels; labels below 0 have none. Without them, no facts by class of point.

    Returns:
        Points a scan; shares of points by elevation and range; mean points on a car by distance; objects a frame by class,
        the share of them with more than half of the rays towards them stopped in front, and with fewer than 20 points, all
        of objects with at least one point; mean intensity, of all points and by class.

    Raises:
        DataFileError: no frames.
    """
    kept = list(frames)
    if not kept:
        raise DataFileError("there are no frames to take facts of.", "")
    values = {"points a scan": float(np.mean([len(frame.points) for frame in kept]))}
    points = np.concatenate([frame.points[:, :3] for frame in kept]).astype(np.float64)
    flat = np.hypot(points[:, 0], points[:, 1])
    elevation = np.degrees(np.arctan2(points[:, 2], flat))
    values |= _shares("elevation", elevation, ELEVATIONS, "degrees")
    values |= _shares("range", np.linalg.norm(points, axis=1), RANGES, "m")
    values |= _intensities(kept, class_names)
    boxed = [frame for frame in kept if frame.boxes is not None]
    return Facts(values | (_object_facts(boxed) if boxed else {}))


def _shares(name: str, values: NDArray, edges: Sequence[float], unit: str) -> dict[str, float]:
    counts = np.histogram(values, edges)[0] / len(values)
    return {
        f"share of points, {name} {low:g} to {high:g} {unit}": float(count)
        for (low, high), count in zip(pairwise(edges), counts, strict=True)
    }


def _intensities(frames: Sequence[LidarFrame], class_names: Sequence[str]) -> dict[str, float]:
    if any("intensity" not in frame.columns for frame in frames):
        return {}
    values = np.concatenate([frame.points[:, frame.columns.index("intensity")] for frame in frames])
    result = {"intensity, all points": float(values.mean(dtype=np.float64))}
    labels = [frame.labels for frame in frames if frame.labels is not None]
    if len(labels) < len(frames):
        return result
    label = np.concatenate(labels)
    for number, name in enumerate(class_names):
        if (label == number).any():
            result[f"intensity, {name}"] = float(values[label == number].mean(dtype=np.float64))
    return result


def _object_facts(frames: Sequence[LidarFrame]) -> dict[str, float]:
    names, distances, counts, hidden = [], [], [], []
    for frame in frames:
        boxes = frame.boxes
        if boxes is None:
            continue
        inside = boxes.contain(frame.points)
        count = np.bincount(inside[inside >= 0], minlength=len(boxes))
        seen = np.flatnonzero(count)
        names += [boxes.names[box] for box in seen]
        distances += list(np.linalg.norm(boxes.centers[seen], axis=1))
        counts += list(count[seen])
        hidden += list(hidden_shares(frame.points, boxes, seen))
    name, distance, points = np.array(names), np.array(distances), np.array(counts)
    result = {f"{label} a frame": float((name == label).sum() / len(frames)) for label in sorted(set(names))}
    if len(points):
        result["share of objects mostly hidden"] = float((np.array(hidden) > 0.5).mean())
        result[f"share of objects under {FEW_POINTS} points"] = float((points < FEW_POINTS).mean())
    for low, high in pairwise(DISTANCES):
        chosen = (name == "car") & (distance >= low) & (distance < high)
        if chosen.any():
            result[f"points a car, {low:g} to {high:g} m"] = float(points[chosen].mean())
    return result


def hidden_shares(points: NDArray[np.floating], boxes: Boxes, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(len(rows),) share of the returns towards each box that lie nearer than it, of points (P, 3 or more)."""
    place = points[:, :3].astype(np.float64)
    flat, azimuth = np.hypot(place[:, 0], place[:, 1]), np.arctan2(place[:, 1], place[:, 0])
    tangent = place[:, 2] / np.maximum(flat, 1e-6)
    result = np.zeros(len(rows))
    for number, box in enumerate(rows):
        corner = np.array([[a, b] for a in (-0.5, 0.5) for b in (-0.5, 0.5)]) * boxes.sizes[box, :2]
        c, s = np.cos(boxes.yaw[box]), np.sin(boxes.yaw[box])
        corner = corner @ np.array([[c, s], [-s, c]]) + boxes.centers[box, :2]
        away = np.hypot(*corner.T)
        middle = np.arctan2(boxes.centers[box, 1], boxes.centers[box, 0])
        turn = (np.arctan2(corner[:, 1], corner[:, 0]) - middle + np.pi) % (2 * np.pi) - np.pi
        # Without the lowest fifth: rays to the ground before an object do not hide it.
        low, high = boxes.centers[box, 2] + np.array([-0.3, 0.5]) * boxes.sizes[box, 2]
        off = (azimuth - middle + np.pi) % (2 * np.pi) - np.pi
        towards = (off > turn.min()) & (off < turn.max())
        towards &= (tangent > low / away.mean()) & (tangent < high / away.mean())
        result[number] = (flat[towards] < away.min() - 0.3).mean() if towards.any() else 0.0
    return result
