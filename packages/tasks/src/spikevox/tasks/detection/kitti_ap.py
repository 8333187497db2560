"""KITTI's average precision and orientation similarity, as its own program counts and with every recall point.

The rules are those of the development kit of KITTI's object benchmark (Geiger, Lenz, Urtasun, CVPR 2012;
cvlibs.net/datasets/kitti, ``evaluate_object.cpp``) and of its change to 40 recall points (Simonelli et al., ICCV 2019).
``docs/detection_metrics.md`` tells them in full.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.kitti_label import KittiLabel
from spikevox.tasks.detection.kitti_matching import ABSENT, COUNTS, IGNORED, Curve, match
from spikevox.tasks.detection.kitti_table import MEASURES, KittiTable, kitti_table
from spikevox.tasks.errors import ConfigError

Array = NDArray[np.float64]
MIN_OVERLAP: Mapping[str, float] = MappingProxyType({"Car": 0.7, "Pedestrian": 0.5, "Cyclist": 0.5})
# Objects that look like another class, in small letters: finding them is neither right nor wrong.
_NEIGHBOURS: Mapping[str, str] = MappingProxyType({"car": "van", "pedestrian": "person_sitting"})
_SAMPLES = 41
_UNKNOWN_ALPHA = -10.0


class Level(NamedTuple):
    """Which objects count: a rectangle at least so high, at most so occluded and so truncated."""

    height: float
    occluded: int
    truncated: float


LEVELS: Mapping[str, Level] = MappingProxyType(
    {"easy": Level(40, 0, 0.15), "moderate": Level(25, 1, 0.3), "hard": Level(25, 2, 0.5)}
)


class KittiRow(NamedTuple):
    """Figures of a class, in percent.

    Attributes:
        name: class.
        measure: ``"bbox"``, ``"bev"`` or ``"3d"`` by what boxes must overlap; ``"aos"``, ``bbox`` weighted by orientation.
        level: ``"easy"``, ``"moderate"`` or ``"hard"``.
        boxes: objects that count. All figures are NaN where there are none.
        r11: official, mean of 11 recall points.
        r40: official, mean of 40 recall points.
        exact: mean over every recall that can be reached, 1 / boxes to 1.
    """

    name: str
    measure: str
    level: str
    boxes: int
    r11: float
    r40: float
    exact: float


class KittiResult(NamedTuple):
    """Figures by class, measure and level.

    Attributes:
        rows: in this order of nesting.
        frames: number of frames.
    """

    rows: tuple[KittiRow, ...]
    frames: int

    def row(self, name: str, measure: str, level: str) -> KittiRow:
        """One row.

        Raises:
            KeyError: there is none of these names.
        """
        for row in self.rows:
            if row[:3] == (name, measure, level):
                return row
        raise KeyError(f"no row {name}, {measure}, {level}")

    def table(self) -> str:
        """As text. Official figures of few objects are low however good the boxes are; ``exact`` is not."""
        lines = [f"{'class':<12} {'measure':<7} {'level':<8} {'boxes':>6} {'R11':>7} {'R40':>7} {'exact':>7}"]
        for row in self.rows:
            figures = " ".join(f"{'-' if np.isnan(v) else f'{v:.2f}':>7}" for v in (row.r11, row.r40, row.exact))
            lines.append(f"{row.name:<12} {row.measure:<7} {row.level:<8} {row.boxes:>6} {figures}")
        return "\n".join([*lines, f"percent, over {self.frames} frames"])


def kitti_result(
    truth: Sequence[Sequence[KittiLabel] | None],
    predictions: Sequence[Sequence[KittiLabel]],
    *,
    min_overlap: Mapping[str, float] = MIN_OVERLAP,
    measures: Sequence[str] = (*MEASURES, "aos"),
    sources: Sequence[str] | None = None,
) -> KittiResult:
    """Average precision of detections, and their orientation similarity.

    Args:
        truth: label rows of each frame, DontCare among them, in the order of the file.
        predictions: detections of each frame with scores, likewise;
            :func:`~spikevox.tasks.datasets.kitti_label.labels_from_boxes` makes them from boxes.
        min_overlap: class to the intersection over union that a detection must exceed; its keys are the classes scored. Classes
            are compared without regard to capitals.
        measures: some of ``"bbox"``, ``"bev"``, ``"3d"`` and ``"aos"``.
        sources: names of the frames, for messages.

    Returns:
        Rows by class, measure and level. ``aos`` is NaN where a detection's alpha is -10, unknown.

    Raises:
        ConfigError: no frames, other numbers of frames, frames without labels, no object of any class scored, detections
            without finite scores, or an unknown measure.
        BoxError: negative sizes, or numbers that are not finite or too large.
    """
    sources = [f"frame {number}" for number in range(len(truth))] if sources is None else sources
    if not len(truth) == len(predictions) == len(sources):
        raise ConfigError(
            f"as many frames of predictions and sources as of ground truth are needed, got {len(truth)} of ground truth, "
            f"{len(predictions)} of predictions and {len(sources)} sources."
        )
    labelled = [rows for rows in truth if rows is not None]
    known = {label.name.lower() for rows in labelled for label in rows}
    if len(labelled) < len(truth) or known.isdisjoint(name.lower() for name in min_overlap):
        raise ConfigError(
            f"{len(truth) - len(labelled)} of {len(truth)} frames have no labels, and the others hold {len(known)} classes, of "
            f"which one of {', '.join(min_overlap)} must be: only a split with labels of the classes scored can be scored."
        )
    unknown = sorted(set(measures) - {*MEASURES, "aos"})
    if unknown or not measures:
        raise ConfigError(f"measures are some of {', '.join(MEASURES)} and aos, got {', '.join(unknown) or 'none'}.")
    needed = [measure for measure in MEASURES if measure in measures or (measure == "bbox" and "aos" in measures)]
    table = kitti_table(labelled, predictions, needed, sources)
    rows = [row for name, least in min_overlap.items() for row in _class_rows(table, name, least)]
    order = {measure: place for place, measure in enumerate(measures)}
    chosen = [row for row in rows if row.measure in order]
    return KittiResult(
        tuple(sorted(chosen, key=lambda row: (list(min_overlap).index(row.name), order[row.measure]))), len(truth)
    )


def _class_rows(table: KittiTable, name: str, min_overlap: float) -> list[KittiRow]:
    """Rows of a class, by level."""
    oriented = not (table.detections.alpha == _UNKNOWN_ALPHA).any()
    rows = []
    for level, limit in LEVELS.items():
        truth_state, state = _states(table, name, limit)
        boxes = int((truth_state == COUNTS).sum())
        for measure in table.pairs:
            curve = match(table, measure, truth_state, state, min_overlap)
            rows.append(KittiRow(name, measure, level, boxes, *_figures(curve, curve.true, boxes)))
            if measure == "bbox":
                figures = _figures(curve, curve.similarity, boxes) if oriented else (np.nan,) * 3
                rows.append(KittiRow(name, "aos", level, boxes, *figures))
    return rows


def _states(table: KittiTable, name: str, limit: Level) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What objects and detections are to a class at a level."""
    objects, detections = table.truth, table.detections
    hard = (objects.occluded > limit.occluded) | (objects.truncated > limit.truncated) | (objects.height < limit.height)
    truth = np.full(len(objects.names), ABSENT)
    truth[objects.names == _NEIGHBOURS.get(name.lower(), "")] = IGNORED
    truth[objects.names == name.lower()] = COUNTS
    truth[(truth == COUNTS) & hard] = IGNORED
    state = np.where(detections.names == name.lower(), COUNTS, ABSENT)
    # Small ones of any class: KITTI's program looks at the height first.
    state[np.abs(detections.height) < limit.height] = IGNORED
    return truth, state


def _figures(curve: Curve, gains: Array | NDArray[np.int64], count: int) -> tuple[float, float, float]:
    """R11, R40 and exact of what is gained a detection: 1, or the similarity of its orientation."""
    if count == 0:
        return np.nan, np.nan, np.nan
    made = curve.true + curve.false
    ratio = np.divide(gains, made, out=np.zeros(len(made)), where=made > 0)
    thresholds = _thresholds(curve.picked, count)
    sampled = np.zeros(max(_SAMPLES, len(thresholds)))
    sampled[: len(thresholds)] = ratio[np.searchsorted(-curve.scores, -thresholds, side="right") - 1]
    sampled = np.maximum.accumulate(sampled[::-1])[::-1]
    best = np.zeros(count + 1)
    np.maximum.at(best, curve.true, ratio)
    best = np.maximum.accumulate(best[::-1])[::-1]
    figures = sampled[:_SAMPLES:4].sum() / 11, sampled[1:_SAMPLES].sum() / 40, best[1:].mean()
    return tuple(100 * float(value) for value in figures)  # type: ignore[return-value]


def _thresholds(picked: Array, count: int) -> Array:
    """Scores at which recall comes closest to 0, 1/40, 2/40 and so on, each found object taken once at most."""
    scores = np.sort(picked)[::-1]
    chosen, recall = [], 0.0
    for place, score in enumerate(scores):
        here, last = (place + 1) / count, place + 1 == len(scores)
        following = here if last else (place + 2) / count
        if following - recall < recall - here and not last:
            continue
        chosen.append(score)
        recall += 1 / (_SAMPLES - 1)
    return np.array(chosen, dtype=np.float64)
