"""Non-maximum suppression against one that compares all with all."""

import numpy as np
import pytest

from oracles.box_pairs import random_boxes
from oracles.exact_overlap import overlap_from_above, overlap_in_space
from spikevox.layers import native
from spikevox.tasks.errors import BoxError
from spikevox.tasks.geometry import bev_iou, iou_3d, non_maximum_suppression
from spikevox.tasks.geometry import nms as module

ENGINES = (pytest.param(True, id="compiled", marks=pytest.mark.compiled), pytest.param(False, id="numpy"))
EXACT = {bev_iou: overlap_from_above, iou_3d: overlap_in_space}


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request, monkeypatch):
    if request.param and not native.available():
        pytest.skip(native.reason_absent())
    if not request.param:
        monkeypatch.setattr(native, "available", lambda: False)


def brute_force(boxes, scores, threshold, classes, most, overlap):
    """Again and again the best of those left, without those that it overlaps."""
    left, kept = list(range(len(boxes))), []
    while left and len(kept) < most:
        best = max(left, key=lambda row: (scores[row], -row))
        kept.append(best)
        left = [
            row
            for row in left
            if row != best and (classes[row] != classes[best] or overlap(boxes[best], boxes[row]) <= threshold)
        ]
    return kept


@pytest.mark.parametrize("overlap", [bev_iou, iou_3d])
@pytest.mark.parametrize("seed", range(12))
def test_rows_equal_brute_force(overlap, seed):
    generator = np.random.default_rng(seed)
    count = int(generator.integers(1, 60))
    boxes = random_boxes(generator, count, extent=4)
    # Few different scores, so that there are ties.
    scores = generator.integers(0, 8, count) / 8
    classes = generator.integers(0, 3, count) if seed % 2 else np.zeros(count, dtype=np.int64)
    threshold, most = float(generator.choice([0.0, 0.1, 0.4])), int(generator.integers(1, 30))
    found = non_maximum_suppression(boxes, scores, threshold, classes=classes, most=most, overlap=overlap)
    assert found.tolist() == brute_force(boxes.tolist(), scores, threshold, classes, most, EXACT[overlap])


def test_an_overlap_of_exactly_the_threshold_stays():
    boxes = np.array([[0.0, 0, 0, 4, 2, 1, 0], [2.0, 0, 0, 4, 2, 1, 0]])
    assert bev_iou(boxes[:1], boxes[1:])[0, 0] == 1 / 3
    assert len(non_maximum_suppression(boxes, np.array([0.5, 0.4]), 1 / 3)) == 2
    assert len(non_maximum_suppression(boxes, np.array([0.5, 0.4]), 0.333)) == 1


def test_three_thousand_boxes_keep_none_that_overlap(generator):
    boxes, scores = random_boxes(generator, 3000, extent=40), generator.random(3000)
    kept = non_maximum_suppression(boxes, scores, 0.1)
    assert (np.diff(scores[kept]) <= 0).all()
    table = bev_iou(boxes[kept], boxes)
    assert np.triu(table[:, kept], 1).max() <= 0.1
    dropped = np.setdiff1d(np.arange(3000), kept)
    better = scores[kept][:, None] >= scores[dropped]
    assert ((table[:, dropped] > 0.1) & better).any(axis=0).all()


def test_nothing_in_nothing_out():
    assert non_maximum_suppression(np.zeros((0, 7)), np.zeros(0), 0.5).shape == (0,)
    assert non_maximum_suppression(np.ones((2, 7)), np.ones(2), 0.5, most=0).shape == (0,)


def test_wrong_input_is_refused():
    boxes = np.ones((3, 7))
    with pytest.raises(BoxError, match="scores must be 3 finite numbers"):
        non_maximum_suppression(boxes, np.ones(2), 0.5)
    with pytest.raises(BoxError, match="scores must be 3 finite numbers"):
        non_maximum_suppression(boxes, np.array([1, np.nan, 0]), 0.5)
    with pytest.raises(BoxError, match="classes must be 3 numbers"):
        non_maximum_suppression(boxes, np.ones(3), 0.5, classes=np.ones((3, 1), dtype=np.int64))
    with pytest.raises(BoxError, match="threshold lies between 0 and 1"):
        non_maximum_suppression(boxes, np.ones(3), 1.5)
    with pytest.raises(BoxError, match="1 of 3 boxes"):
        non_maximum_suppression(np.where(np.eye(3, 7) * [0, 1, 0, 0, 0, 0, 0], np.nan, boxes), np.ones(3), 0.5)


def test_both_engines_are_tried(monkeypatch):
    """The fixture would be empty talk if the function did not look at what is there."""
    called = []
    monkeypatch.setattr(module, "suppress_boxes", lambda *a: called.append("numpy") or np.zeros(0, np.int64))
    non_maximum_suppression(np.ones((1, 7)), np.ones(1), 0.5)
    assert called == ([] if native.available() else ["numpy"])
