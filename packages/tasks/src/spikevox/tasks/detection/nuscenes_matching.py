"""Which detections nuScenes' rules take for true, and how wrong those are."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.frame import Boxes
from spikevox.tasks.datasets.nuscenes_label import DETECTION_CLASS

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
ERRORS = ("translation", "scale", "orientation", "velocity", "attribute")
_RACK = "static_object.bicycle_rack"
_RACKED = ("bicycle", "motorcycle")


class FrameBoxes(NamedTuple):
    """Boxes of a frame that are scored.

    Attributes:
        names: (B,) classes of detection.
        numbers: (B, 7) x, y, z, length, width, height, yaw.
        velocities: (B, 2), NaN where unknown.
        attributes: (B,), empty where unknown.
        scores: (B,), NaN in ground truth.
    """

    names: NDArray[np.str_]
    numbers: Array
    velocities: Array
    attributes: NDArray[np.str_]
    scores: Array

    def take(self, rows: Rows | NDArray[np.bool_]) -> "FrameBoxes":
        """Some of them."""
        return FrameBoxes(
            self.names[rows], self.numbers[rows], self.velocities[rows], self.attributes[rows], self.scores[rows]
        )


class Matches(NamedTuple):
    """Detections of a class over all frames, from the highest score down; of equal scores the last one first.

    Attributes:
        scores: (D,) float64.
        true: (D,) whether each found an object.
        errors: (D, 5) float64 in the order of ``ERRORS``, NaN for false ones and where the truth does not tell.
    """

    scores: Array
    true: NDArray[np.bool_]
    errors: Array


def scored_boxes(boxes: Boxes, truth: Boxes, origin: Array, ranges: dict[str, float]) -> FrameBoxes:
    """The boxes of a frame that count.

    Left out are classes that are not scored, boxes as far from the vehicle as their class's range or farther, boxes that no
    point is said to lie in, and bicycles and motorcycles whose middle lies in a rack for bicycles.

    Args:
        boxes: ground truth or detections.
        truth: ground truth, for the racks.
        origin: (2,) the vehicle's place.
        ranges: class to metres.
    """
    count = len(boxes)
    names = np.array([DETECTION_CLASS.get(name, name) for name in boxes.names], dtype=np.str_)
    limits = np.array([ranges.get(name, 0.0) for name in names.tolist()])
    keep = np.hypot(*(boxes.centers[:, :2] - origin).T) < limits
    if boxes.point_counts is not None:
        keep &= boxes.point_counts != 0
    racks = truth.take(np.array([name == _RACK for name in truth.names], dtype=bool))
    keep &= ~(np.isin(names, _RACKED) & (racks.contain(boxes.centers) >= 0))
    return FrameBoxes(
        names,
        boxes.array(),
        np.full((count, 2), np.nan) if boxes.velocities is None else boxes.velocities,
        np.array([""] * count if boxes.attributes is None else boxes.attributes, dtype=np.str_),
        np.full(count, np.nan) if boxes.scores is None else np.asarray(boxes.scores, dtype=np.float64),
    ).take(keep)


def match_class(
    truth: Sequence[FrameBoxes], predictions: Sequence[FrameBoxes], distances: Sequence[float]
) -> tuple[Matches, ...]:
    """Matches at each distance, of frames that hold boxes of one class only.

    From the highest score down each detection takes the nearest object of its frame that is still free, seen from above, and
    is true if that is nearer than the distance. Frames do not meet, so each is matched by itself.
    """
    scores = np.concatenate([boxes.scores for boxes in predictions])
    # Of equal scores the later detection comes first, as where an ascending sort is read backwards.
    order = np.lexsort((-np.arange(len(scores)), -scores))
    partner = np.full((len(distances), len(scores)), -1)
    first = first_object = 0
    for objects, boxes in zip(truth, predictions, strict=True):
        here = slice(first, first + len(boxes.names))
        partner[:, here] = _partners(objects, boxes, distances, first_object)
        first, first_object = here.stop, first_object + len(objects.names)
    found = _join(predictions)
    objects = _join(truth)
    result = []
    for row in partner:
        errors = np.full((len(scores), len(ERRORS)), np.nan)
        true = row >= 0
        errors[true] = _errors(objects.take(row[true]), found.take(true))
        result.append(Matches(scores[order], true[order], errors[order]))
    return tuple(result)


def _join(frames: Sequence[FrameBoxes]) -> FrameBoxes:
    return FrameBoxes(*map(np.concatenate, zip(*frames, strict=True)))


def _partners(objects: FrameBoxes, boxes: FrameBoxes, distances: Sequence[float], first_object: int) -> Rows:
    """(distances, D) the object that each detection of a frame takes, counted over all frames; -1 for none."""
    result = np.full((len(distances), len(boxes.names)), -1)
    if not len(objects.names) or not len(boxes.names):
        return result
    apart = boxes.numbers[:, None, :2] - objects.numbers[:, :2]
    table = np.hypot(apart[..., 0], apart[..., 1])
    order = np.lexsort((-np.arange(len(boxes.scores)), -boxes.scores))
    for place, limit in enumerate(distances):
        free = np.ones(len(objects.names), dtype=bool)
        # Those that are near to no object at all take none.
        for row in order[(table[order] < limit).any(axis=1)]:
            left = np.where(free, table[row], np.inf)
            nearest = int(left.argmin())
            if left[nearest] < limit:
                free[nearest] = False
                result[place, row] = nearest + first_object
    return result


def _errors(truth: FrameBoxes, boxes: FrameBoxes) -> Array:
    """(M, 5) of detections and the objects that they found."""
    apart = truth.numbers[:, :2] - boxes.numbers[:, :2]
    shared = np.minimum(truth.numbers[:, 3:6], boxes.numbers[:, 3:6]).prod(axis=1)
    volumes = [side.numbers[:, 3:6].prod(axis=1) for side in (truth, boxes)]
    # The two ends of a barrier cannot be told apart.
    period = np.where(truth.names == "barrier", np.pi, 2 * np.pi)
    turn = np.abs((truth.numbers[:, 6] - boxes.numbers[:, 6] + period / 2) % period - period / 2)
    moved = boxes.velocities - truth.velocities
    attribute = np.where(truth.attributes == "", np.nan, truth.attributes != boxes.attributes)
    return np.stack(
        [
            np.hypot(apart[:, 0], apart[:, 1]),
            1 - shared / (volumes[0] + volumes[1] - shared),
            turn,
            np.hypot(moved[:, 0], moved[:, 1]),
            attribute,
        ],
        axis=1,
    )
