"""KITTI's labels and detections of all frames as columns, and how far they overlap."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.kitti_label import KittiLabel
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.geometry import bev_iou, check_boxes, iou_3d

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
MEASURES = ("bbox", "bev", "3d")


class Objects(NamedTuple):
    """Label rows of all frames, in order of frame and row.

    Attributes:
        names: (N,) class in small letters, as classes are compared without regard to capitals.
        height: (N,) float64, of the rectangle in the image, in pixels.
        alpha: (N,) float64, heading as the camera sees it, in radians.
        truncated: (N,) float64.
        occluded: (N,) int64.
        scores: (N,) float64, NaN in ground truth.
    """

    names: NDArray[np.str_]
    height: Array
    alpha: Array
    truncated: Array
    occluded: Rows
    scores: Array


class Pairs(NamedTuple):
    """Detections that overlap objects of the same frame, in order of object and detection.

    Attributes:
        detection: (P,) row of the detection.
        truth: (P,) row of the object.
        overlap: (P,) float64, intersection over union, above 0.
    """

    detection: Rows
    truth: Rows
    overlap: Array


class KittiTable(NamedTuple):
    """All that KITTI's figures are counted from.

    Attributes:
        truth: objects, without DontCare.
        detections: likewise.
        frame: (D,) frame of each detection.
        pairs: by measure.
        cared: (D,) float64, largest share of a detection's rectangle that one DontCare region covers.
    """

    truth: Objects
    detections: Objects
    frame: Rows
    pairs: dict[str, Pairs]
    cared: Array


def kitti_table(
    truth: Sequence[Sequence[KittiLabel]],
    predictions: Sequence[Sequence[KittiLabel]],
    measures: Sequence[str],
    sources: Sequence[str],
) -> KittiTable:
    """The columns of label rows, frame by frame, with pairs by these of ``MEASURES``.

    Raises:
        ConfigError: a detection without a finite score; names its frame.
        BoxError: sizes that are negative, or numbers that are not finite or too large.
    """
    real = [[label for label in rows if not _no_matter(label)] for rows in truth]
    for rows, source in zip(predictions, sources, strict=True):
        bad = [row for row, label in enumerate(rows) if label.score is None or not np.isfinite(label.score)]
        if bad:
            raise ConfigError(
                f"{source}: {len(bad)} of {len(rows)} detections have no finite score, first row {bad[0]}."
            )
    parts: dict[str, list[Pairs]] = {measure: [] for measure in measures}
    cared: list[Array] = []
    first_truth = first_detection = 0
    for objects, found, rows, source in zip(real, predictions, truth, sources, strict=True):
        regions = _rectangles([label for label in rows if _no_matter(label)])
        cared.append(_covered(_rectangles(found), regions))
        for measure, overlap in _overlaps(objects, found, measures, source).items():
            place, row = np.nonzero(overlap)
            parts[measure].append(Pairs(row + first_detection, place + first_truth, overlap[place, row]))
        first_truth += len(objects)
        first_detection += len(found)
    return KittiTable(
        _columns(real),
        _columns(predictions),
        np.repeat(np.arange(len(predictions)), [len(rows) for rows in predictions]),
        {measure: Pairs(*map(np.concatenate, zip(*parts[measure], strict=True))) for measure in measures},
        np.concatenate(cared),
    )


def _no_matter(label: KittiLabel) -> bool:
    return label.name.lower() == "dontcare"


def _columns(frames: Sequence[Sequence[KittiLabel]]) -> Objects:
    labels = [label for rows in frames for label in rows]
    rectangles = _rectangles(labels)
    return Objects(
        np.array([label.name.lower() for label in labels], dtype=np.str_),
        rectangles[:, 3] - rectangles[:, 1],
        np.array([label.alpha for label in labels], dtype=np.float64),
        np.array([label.truncated for label in labels], dtype=np.float64),
        np.array([label.occluded for label in labels], dtype=np.int64),
        np.array([np.nan if label.score is None else label.score for label in labels], dtype=np.float64),
    )


def _overlaps(
    objects: Sequence[KittiLabel], detections: Sequence[KittiLabel], measures: Sequence[str], source: str
) -> dict[str, Array]:
    """(G, D) of each measure."""
    if not objects or not detections:
        return {measure: np.zeros((len(objects), len(detections))) for measure in measures}
    sides = objects, detections
    result = {}
    if "bbox" in measures:
        result["bbox"] = _rectangle_iou(*map(_rectangles, sides))
    if "bev" in measures or "3d" in measures:
        names = (f"objects of {source}", f"detections of {source}")
        boxes = [check_boxes(_boxes(side), name) for side, name in zip(sides, names, strict=True)]
        result |= {name: iou(*boxes) for name, iou in (("bev", bev_iou), ("3d", iou_3d)) if name in measures}
    return result


def _boxes(labels: Sequence[KittiLabel]) -> Array:
    """(B, 7) x right, z forward, middle's height over the camera; length, width, height; angle from x towards z."""
    rows = [
        (x, z, height / 2 - y, length, width, height, -label.rotation_y)
        for label in labels
        for (x, y, z), (height, width, length) in [(label.location, label.size)]
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 7)


def _rectangles(labels: Sequence[KittiLabel]) -> Array:
    return np.array([label.box_2d for label in labels], dtype=np.float64).reshape(-1, 4)


def _shared(a: Array, b: Array) -> Array:
    low, high = np.maximum(a[:, None, :2], b[:, :2]), np.minimum(a[:, None, 2:], b[:, 2:])
    return np.prod(np.maximum(high - low, 0), axis=2)


def _area(rectangles: Array) -> Array:
    return np.prod(rectangles[:, 2:] - rectangles[:, :2], axis=1)


def _rectangle_iou(a: Array, b: Array) -> Array:
    shared = _shared(a, b)
    return np.divide(shared, _area(a)[:, None] + _area(b) - shared, out=np.zeros_like(shared), where=shared > 0)


def _covered(detections: Array, regions: Array) -> Array:
    """(D,) largest share of each detection that one region covers."""
    if not len(detections) or not len(regions):
        return np.zeros(len(detections))
    shared = _shared(detections, regions)
    share = np.divide(shared, _area(detections)[:, None], out=np.zeros_like(shared), where=shared > 0)
    return share.max(axis=1)
