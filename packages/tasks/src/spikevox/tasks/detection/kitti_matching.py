"""Which detections KITTI's rules take for true and which for false, at every score at once.

The rules match anew at each score threshold. In most frames nobody competes: no object is overlapped by two detections and no
detection overlaps two objects. There the outcome of a detection does not depend on the threshold. Only frames with
competition are gone through threshold by threshold.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.detection.kitti_table import KittiTable, Pairs

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
# A state of an object or detection: it counts; it may be matched but counts for nothing; it is not there.
COUNTS, IGNORED, ABSENT = 0, 1, -1


class Curve(NamedTuple):
    """Counts over the detections with at least a score, from the highest score down.

    Attributes:
        scores: (T,) float64, falling.
        true: (T,) int64, objects found.
        false: (T,) int64, detections that found none.
        similarity: (T,) float64, sum of (1 + cos of the error of alpha) / 2 over the objects found.
        picked: scores of the objects found where each takes the detection with the highest score, in any order; the
            rules take their thresholds from them.
    """

    scores: Array
    true: Rows
    false: Rows
    similarity: Array
    picked: Array


class _Steps(NamedTuple):
    """What changes at scores; several may be equal."""

    scores: Array
    true: Rows
    false: Rows
    similarity: Array


def match(table: KittiTable, measure: str, truth_state: Rows, state: Rows, min_overlap: float) -> Curve:
    """Counts of a class and level.

    Args:
        table: of all frames.
        measure: ``"bbox"``, ``"bev"`` or ``"3d"``.
        truth_state: (G,) state of each object.
        state: (D,) state of each detection.
        min_overlap: a pair must overlap by more.
    """
    pairs = _usable(table.pairs[measure], truth_state, state, min_overlap)
    # KITTI's program measures what DontCare regions cover in the image alone; from above and in space they have no place.
    uncared = table.cared <= min_overlap if measure == "bbox" else np.ones(len(state), dtype=bool)
    may_be_false = (state == COUNTS) & uncared
    disputed = (np.bincount(pairs.detection, minlength=len(state)) > 1)[pairs.detection]
    disputed |= (np.bincount(pairs.truth, minlength=len(truth_state)) > 1)[pairs.truth]
    frames = table.frame[pairs.detection]
    disputed_frames = np.unique(frames[disputed])
    calm = ~np.isin(frames, disputed_frames)
    steps, picked = [_unmatched(table, pairs, may_be_false)], []
    found = calm & (truth_state[pairs.truth] == COUNTS) & (state[pairs.detection] == COUNTS)
    right = pairs.detection[found]
    similarity = _similarity(table, right, pairs.truth[found])
    steps.append(_Steps(table.detections.scores[right], np.ones_like(right), np.zeros_like(right), similarity))
    picked.append(table.detections.scores[right])
    # Pairs of a frame lie one after the other, as they are in order of the objects.
    for frame in disputed_frames:
        here = _take(pairs, slice(*np.searchsorted(frames, [frame, frame + 1])))
        steps.append(_dispute(table, here, truth_state, state, may_be_false))
        picked.append(_pick(table, here, truth_state, state))
    return _curve(_Steps(*map(np.concatenate, zip(*steps, strict=True))), np.concatenate(picked))


def _usable(pairs: Pairs, truth_state: Rows, state: Rows, min_overlap: float) -> Pairs:
    keep = (pairs.overlap > min_overlap) & (truth_state[pairs.truth] != ABSENT) & (state[pairs.detection] != ABSENT)
    return _take(pairs, keep)


def _take(pairs: Pairs, rows: slice | NDArray[np.bool_]) -> Pairs:
    return Pairs(pairs.detection[rows], pairs.truth[rows], pairs.overlap[rows])


def _unmatched(table: KittiTable, pairs: Pairs, may_be_false: NDArray[np.bool_]) -> _Steps:
    """Detections that overlap nothing."""
    alone = may_be_false.copy()
    alone[pairs.detection] = False
    rows = np.flatnonzero(alone)
    return _Steps(table.detections.scores[rows], np.zeros_like(rows), np.ones_like(rows), np.zeros(len(rows)))


def _similarity(table: KittiTable, detections: Rows, objects: Rows) -> Array:
    similarity: Array = (1 + np.cos(table.truth.alpha[objects] - table.detections.alpha[detections])) / 2
    return similarity


def _dispute(
    table: KittiTable, pairs: Pairs, truth_state: Rows, state: Rows, may_be_false: NDArray[np.bool_]
) -> _Steps:
    """One frame, at each score of its detections (T rows, D columns)."""
    # An ignored detection that takes an object for want of others changes neither count.
    pairs = _take(pairs, state[pairs.detection] == COUNTS)
    rows, column = np.unique(pairs.detection, return_inverse=True)
    scores = table.detections.scores[rows]
    thresholds = np.unique(scores)[::-1]
    free = scores >= thresholds[:, None]
    true, similarity = np.zeros(len(thresholds), dtype=np.int64), np.zeros(len(thresholds))
    for truth in np.unique(pairs.truth):
        mine = pairs.truth == truth
        overlap = np.zeros(len(rows))
        overlap[column[mine]] = pairs.overlap[mine]
        candidates = np.where(free, overlap, 0.0)
        choice = candidates.argmax(axis=1)
        found = candidates[np.arange(len(thresholds)), choice] > 0
        free[found, choice[found]] = False
        if truth_state[truth] == COUNTS:
            true += found
            similarity += found * _similarity(table, rows, np.full(len(rows), truth))[choice]
    # A detection below the threshold is not free either.
    false = (free & may_be_false[rows]).sum(axis=1)
    return _Steps(
        thresholds, np.diff(true, prepend=0), np.diff(false, prepend=0), np.diff(similarity, prepend=np.zeros(1))
    )


def _pick(table: KittiTable, pairs: Pairs, truth_state: Rows, state: Rows) -> Array:
    """Scores of the objects found in a frame where each takes the detection with the highest score, of equal ones the first."""
    taken: set[int] = set()
    picked = []
    for truth in np.unique(pairs.truth):
        rows = [int(row) for row in pairs.detection[pairs.truth == truth] if int(row) not in taken]
        if not rows:
            continue
        best = max(rows, key=lambda row: (table.detections.scores[row], -row))
        taken.add(best)
        if truth_state[truth] == COUNTS and state[best] == COUNTS:
            picked.append(table.detections.scores[best])
    return np.array(picked, dtype=np.float64)


def _curve(steps: _Steps, picked: Array) -> Curve:
    scores, place = np.unique(-steps.scores, return_inverse=True)
    columns = [np.bincount(place, weights=column, minlength=len(scores)).cumsum() for column in steps[1:]]
    true, false = (np.rint(column).astype(np.int64) for column in columns[:2])
    return Curve(-scores, true, false, columns[2], picked)
