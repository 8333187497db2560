"""nuScenes' mean average precision by centre distance, five errors of true detections, and their sum, NDS.

The rules are those of nuScenes' development kit, configuration ``detection_cvpr_2019`` (Caesar et al., CVPR 2020,
arXiv 1903.11027, section 3.1; github.com/nutonomy/nuscenes-devkit, ``eval/detection``). ``docs/detection_metrics.md`` tells
them in full.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.frame import Boxes
from spikevox.tasks.datasets.nuscenes_label import DETECTION_NAMES, LABEL_NAMES
from spikevox.tasks.detection.nuscenes_matching import ERRORS, FrameBoxes, Matches, match_class, scored_boxes
from spikevox.tasks.errors import ConfigError

Array = NDArray[np.float64]
# Metres from the vehicle within which a class is scored.
RANGES: Mapping[str, float] = MappingProxyType(
    {
        **dict.fromkeys(("car", "truck", "bus", "trailer", "construction_vehicle"), 50.0),
        **dict.fromkeys(("pedestrian", "motorcycle", "bicycle"), 40.0),
        **dict.fromkeys(("traffic_cone", "barrier"), 30.0),
    }
)
DISTANCES = (0.5, 1.0, 2.0, 4.0)
_ERROR_DISTANCE = DISTANCES.index(2.0)
# Errors that a class does not have.
_WITHOUT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"traffic_cone": ("orientation", "velocity", "attribute"), "barrier": ("velocity", "attribute")}
)
MOST_BOXES = 500
_RECALLS = np.linspace(0, 1, 101)
_FIRST = 11  # recalls of 0.1 and less do not count
_LEAST_PRECISION = 0.1
_WEIGHT = 5


class NuScenesRow(NamedTuple):
    """Figures of a class.

    Attributes:
        name: class.
        boxes: objects that are scored.
        ap: average precision from 0 to 1, mean over the distances.
        ap_by_distance: at 0.5, 1, 2 and 4 m.
        errors: translation in metres, scale, orientation in radians, velocity in m/s, attribute; NaN where the class has none.
    """

    name: str
    boxes: int
    ap: float
    ap_by_distance: tuple[float, ...]
    errors: tuple[float, ...]


class NuScenesResult(NamedTuple):
    """Figures of all classes.

    Attributes:
        rows: by class.
        mean_ap: mAP, from 0 to 1.
        errors: means over the classes that have them: mATE, mASE, mAOE, mAVE, mAAE.
        nds: nuScenes' detection score, from 0 to 1.
        frames: number of frames.
    """

    rows: tuple[NuScenesRow, ...]
    mean_ap: float
    errors: tuple[float, ...]
    nds: float
    frames: int

    def table(self) -> str:
        """As text."""
        heads = [*(f"{distance:g} m" for distance in DISTANCES), "ATE", "ASE", "AOE", "AVE", "AAE"]
        lines = [f"{'class':<21} {'boxes':>6} {'AP':>6} " + " ".join(f"{head:>6}" for head in heads)]
        for row in self.rows:
            lines.append(f"{row.name:<21} {row.boxes:>6} " + _cells((row.ap, *row.ap_by_distance, *row.errors)))
        lines.append(f"{'mean':<21} {'':>6} {_cells((self.mean_ap,))} {' ' * 27} {_cells(self.errors)}")
        return "\n".join([*lines, f"NDS {self.nds:.4f} over {self.frames} frames"])


def nuscenes_result(
    truth: Sequence[Boxes | None],
    predictions: Sequence[Boxes],
    *,
    origins: NDArray[np.floating] | None = None,
    classes: Sequence[str] = DETECTION_NAMES,
) -> NuScenesResult:
    """mAP, errors and NDS of detections.

    Args:
        truth: objects of each frame, named by nuScenes' categories or by the classes of detection. Those whose
            ``point_counts`` are 0 are left out; velocities that are NaN and attributes that are empty are not compared.
        predictions: detections of each frame with scores, at most 500, in the same coordinates and named likewise.
        origins: (F, 2 or 3) the vehicle's place in each frame's coordinates; their origin by default.
        classes: that are scored. As in the development kit a class without objects has AP 0 and errors 1.

    Raises:
        ConfigError: no frames, other numbers of frames, frames without ground truth, no object of any class, more than 500
            detections in a frame, detections without finite scores, or an unknown class.
    """
    places = np.zeros((len(truth), 2)) if origins is None else np.asarray(origins, dtype=np.float64)[:, :2]
    if not len(truth) == len(predictions) == len(places):
        raise ConfigError(
            f"as many frames of predictions and origins as of ground truth are needed, got {len(truth)} of ground truth, "
            f"{len(predictions)} of predictions and {len(places)} origins."
        )
    unknown = sorted(set(classes) - set(DETECTION_NAMES))
    if unknown or not classes:
        raise ConfigError(f"classes are some of {', '.join(DETECTION_NAMES)}, got {', '.join(unknown) or 'none'}.")
    ranges = {name: RANGES[name] for name in classes}
    objects: list[FrameBoxes] = []
    found: list[FrameBoxes] = []
    for number, (real, boxes, place) in enumerate(zip(truth, predictions, places, strict=True)):
        known = _check(real, boxes, number)
        objects.append(scored_boxes(known, known, place, ranges))
        found.append(scored_boxes(boxes, known, place, ranges))
    if not any(len(boxes.names) for boxes in objects):
        raise ConfigError(f"no frame of {len(truth)} has an object of {', '.join(classes)}: there is nothing to score.")
    rows = tuple(_row(name, objects, found) for name in classes)
    mean_ap = float(np.mean([row.ap for row in rows]))
    errors = tuple(_mean_error(rows, place) for place in range(len(ERRORS)))
    nds = (_WEIGHT * mean_ap + sum(max(0.0, 1 - error) for error in errors)) / (_WEIGHT + len(errors))
    return NuScenesResult(rows, mean_ap, errors, nds, len(truth))


def _check(truth: Boxes | None, boxes: Boxes, number: int) -> Boxes:
    if truth is None:
        raise ConfigError(
            f"frame {number} has no ground truth: a split can be scored only where its objects are known."
        )
    if len(boxes) > MOST_BOXES:
        raise ConfigError(f"frame {number} has {len(boxes)} detections, at most {MOST_BOXES} are allowed.")
    if len(boxes) and (boxes.scores is None or not np.isfinite(boxes.scores).all()):
        raise ConfigError(f"frame {number}: detections without finite scores cannot be scored.")
    strange = sorted(set(boxes.names) - set(DETECTION_NAMES) - set(LABEL_NAMES.values()))
    if strange:
        raise ConfigError(
            f"frame {number}: {strange[0]!r} is neither a category nor one of {', '.join(DETECTION_NAMES)}."
        )
    return truth


def _row(name: str, objects: Sequence[FrameBoxes], found: Sequence[FrameBoxes]) -> NuScenesRow:
    mine = [boxes.take(boxes.names == name) for boxes in objects]
    count = sum(len(boxes.names) for boxes in mine)
    matches = match_class(mine, [boxes.take(boxes.names == name) for boxes in found], DISTANCES)
    by_distance = tuple(_average_precision(matched, count) for matched in matches)
    errors = _mean_errors(matches[_ERROR_DISTANCE], count)
    without = _WITHOUT.get(name, ())
    shown = tuple(np.nan if error in without else value for error, value in zip(ERRORS, errors, strict=True))
    return NuScenesRow(name, count, float(np.mean(by_distance)), by_distance, shown)


def _average_precision(matches: Matches, count: int) -> float:
    """Mean precision over recalls above 0.1, of which what exceeds 0.1 counts."""
    if not matches.true.any():
        return 0.0
    true = matches.true.cumsum()
    precision = np.interp(_RECALLS, true / count, true / np.arange(1, len(true) + 1), right=0)
    return float(np.maximum(precision[_FIRST:] - _LEAST_PRECISION, 0).mean() / (1 - _LEAST_PRECISION))


def _mean_errors(matches: Matches, count: int) -> tuple[float, ...]:
    """Each error's mean over the detections down to a score, averaged over the recalls from 0.1 to the one reached."""
    if not matches.true.any():
        return (1.0,) * len(ERRORS)
    scores = np.interp(_RECALLS, matches.true.cumsum() / count, matches.scores, right=0)
    reached = np.flatnonzero(scores)
    last = int(reached[-1]) if len(reached) else 0
    if last < _FIRST:
        return (1.0,) * len(ERRORS)
    at = matches.scores[matches.true][::-1]
    errors = matches.errors[matches.true]
    curves = [np.interp(scores[::-1], at, _running_mean(errors[:, e])[::-1])[::-1] for e in range(len(ERRORS))]
    return tuple(float(curve[_FIRST : last + 1].mean()) for curve in curves)


def _running_mean(values: Array) -> Array:
    """Mean of the values so far that are known, 0 before the first; 1 throughout where none is."""
    known = ~np.isnan(values)
    if not known.any():
        return np.ones(len(values))
    counts = known.cumsum()
    return np.divide(np.nancumsum(values), counts, out=np.zeros(len(values)), where=counts > 0)


def _mean_error(rows: Sequence[NuScenesRow], place: int) -> float:
    """Over the classes that have the error; 1 where none of those scored has."""
    values = [row.errors[place] for row in rows if not np.isnan(row.errors[place])]
    return float(np.mean(values)) if values else 1.0


def _cells(values: Sequence[float]) -> str:
    return " ".join(f"{'-' if np.isnan(value) else f'{value:.4f}':>6}" for value in values)
