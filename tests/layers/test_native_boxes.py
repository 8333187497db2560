"""Boxes at the border of the compiled library; their overlaps themselves are tested in tests/tasks/geometry."""

import ctypes
import re

import numpy as np
import pytest
import torch

from oracles.box_pairs import random_boxes
from spikevox.layers import BackendError, native
from spikevox.layers.native_boxes import FROM_ABOVE, IN_SPACE, box_overlaps, paired_box_overlaps, suppress_boxes

pytestmark = pytest.mark.compiled


def test_any_number_of_threads_gives_the_same_bits(generator):
    a, b = random_boxes(generator, 333), random_boxes(generator, 211)
    pair = np.resize(a, (9000, 7)), np.resize(b, (9000, 7))
    results = []
    for threads in (1, 2, 3, 7):
        torch.set_num_threads(threads)
        results.append(
            [box_overlaps(a, b, FROM_ABOVE), box_overlaps(a, b, IN_SPACE), paired_box_overlaps(*pair, IN_SPACE)]
        )
    torch.set_num_threads(1)
    assert all(results[0][0].ravel()[:5] == results[1][0].ravel()[:5])
    for other in results[1:]:
        assert all(np.array_equal(x, y) for x, y in zip(results[0], other, strict=True))


@pytest.mark.parametrize(("column", "value"), [(0, np.nan), (6, np.inf), (4, -1.0), (2, 1e8), (5, -np.inf)])
def test_numbers_without_sense_are_refused(column, value):
    good, bad = np.ones((4, 7)), np.ones((4, 7))
    bad[2, column] = value
    for call in (
        lambda: box_overlaps(bad, good, FROM_ABOVE),
        lambda: box_overlaps(good, bad, IN_SPACE),
        lambda: paired_box_overlaps(good, bad, IN_SPACE),
        lambda: suppress_boxes(bad, None, FROM_ABOVE, 0.5, 4),
    ):
        with pytest.raises(BackendError, match="box 2 has a number that is not finite"):
            call()


def test_wrong_input_is_refused_before_any_memory_is_touched():
    boxes = np.ones((4, 7))
    with pytest.raises(TypeError, match=re.escape("a must have shape (B, 7), got (4, 6)")):
        box_overlaps(np.ones((4, 6)), boxes, FROM_ABOVE)
    with pytest.raises(TypeError, match=re.escape("b must have shape (B, 7), got (7,)")):
        box_overlaps(boxes, np.ones(7), FROM_ABOVE)
    with pytest.raises(TypeError, match="a must be a contiguous float64 array, got float32"):
        box_overlaps(boxes.astype(np.float32), boxes, FROM_ABOVE)
    with pytest.raises(TypeError, match="b must be a contiguous float64 array"):
        box_overlaps(boxes, np.ones((7, 4)).T, FROM_ABOVE)
    with pytest.raises(TypeError, match="as many boxes, got 4 and 3"):
        paired_box_overlaps(boxes, boxes[:3], FROM_ABOVE)
    with pytest.raises(TypeError, match=re.escape("groups must have shape (4,), got (3,)")):
        suppress_boxes(boxes, np.zeros(3, np.int64), FROM_ABOVE, 0.5, 4)
    with pytest.raises(TypeError, match="groups must be a contiguous int64 array, got int32"):
        suppress_boxes(boxes, np.zeros(4, np.int32), FROM_ABOVE, 0.5, 4)
    with pytest.raises(BackendError, match="overlap is 0, from above, or 1, in space"):
        box_overlaps(boxes, boxes, 2)
    for threshold in (-0.1, 1.1, np.nan):
        with pytest.raises(BackendError, match="threshold must lie between 0 and 1"):
            suppress_boxes(boxes, None, FROM_ABOVE, threshold, 4)


def test_a_negative_count_is_refused():
    boxes, result = np.ones((1, 7)), np.empty((1, 1))
    code = native.library().spikevox_box_overlaps(
        *(boxes.ctypes.data, -1, boxes.ctypes.data, 1, FROM_ABOVE, result.ctypes.data, 1)
    )
    with pytest.raises(BackendError, match="the number of boxes must not be negative"):
        native.check(code)
    assert native.library().spikevox_box_suppress(
        *(boxes.ctypes.data, None, 1, FROM_ABOVE, 0.5, -5, result.ctypes.data, ctypes.byref(count := ctypes.c_int64(9)))
    ) == 0  # fmt: skip
    assert count.value == 0


def test_more_rows_than_boxes_are_never_written():
    boxes = np.ones((3, 7))
    boxes[:, 0] = [0, 10, 20]
    assert suppress_boxes(boxes, None, IN_SPACE, 0.5, 2**62).tolist() == [0, 1, 2]
    assert suppress_boxes(boxes, None, IN_SPACE, 0.5, 2).tolist() == [0, 1]
