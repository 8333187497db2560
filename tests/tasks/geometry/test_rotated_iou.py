"""Overlap of turned boxes against rational arithmetic, by the compiled library and by numpy."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.box_pairs import pairs_of_every_kind, random_boxes
from oracles.exact_overlap import overlap_from_above, overlap_in_space, shared_area
from spikevox.layers import native
from spikevox.tasks.errors import BoxError
from spikevox.tasks.geometry import bev_iou, iou_3d

PAIRS = 10_000
# Sizes and coordinates of boxes are 1e-6 to 1e3: rounding of a width of 1e-6 at a coordinate of 1e3 is 1e-7 of it.
TOLERANCE = 1e-6
ENGINES = (pytest.param(True, id="compiled", marks=pytest.mark.compiled), pytest.param(False, id="numpy"))
LENGTHS = st.floats(0, 20)
BOXES = st.tuples(*[st.floats(-50, 50)] * 3, *[LENGTHS] * 3, st.floats(-10, 10)).map(lambda box: np.array([box]))


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request, monkeypatch):
    """Every test runs with the library and, as where it was not built, without it."""
    if request.param and not native.available():
        pytest.skip(native.reason_absent())
    if not request.param:
        monkeypatch.setattr(native, "available", lambda: False)


@pytest.fixture(scope="module")
def exact():
    """The pairs and their exact overlaps, from above and in space."""
    a, b = pairs_of_every_kind(0, PAIRS)
    shared = [shared_area(*pair) for pair in zip(a.tolist(), b.tolist(), strict=True)]
    triples = list(zip(a.tolist(), b.tolist(), shared, strict=True))
    return a, b, [overlap_from_above(*t) for t in triples], [overlap_in_space(*t) for t in triples]


def test_ten_thousand_pairs_equal_rational_arithmetic(exact):
    a, b, from_above, in_space = exact
    assert np.count_nonzero(from_above) > 0.6 * PAIRS
    for found, expected in ((bev_iou, from_above), (iou_3d, in_space)):
        error = np.abs(found(a, b, paired=True) - expected)
        assert error.max() < TOLERANCE, f"pair {error.argmax()}"
        # All but the thin ones, which are the eighth tenth.
        thin = slice(7 * PAIRS // 10, 8 * PAIRS // 10)
        assert np.delete(error, thin).max() < 1e-11


def test_a_table_holds_what_pairs_give(generator):
    a, b = random_boxes(generator, 40), random_boxes(generator, 50)
    for overlap in (bev_iou, iou_3d):
        table = overlap(a, b)
        assert table.shape == (40, 50)
        assert np.array_equal(table.ravel(), overlap(a.repeat(50, axis=0), np.tile(b, (40, 1)), paired=True))
        assert 0 < np.count_nonzero(table) < table.size


def test_equal_boxes_overlap_by_one_exactly(generator):
    boxes = random_boxes(generator, 500, extent=100)
    assert (bev_iou(boxes, boxes, paired=True) == 1).all()
    assert (iou_3d(boxes, boxes, paired=True) == 1).all()


@given(BOXES, BOXES)
def test_order_half_turns_and_moves_do_not_matter(a, b):
    for overlap in (bev_iou, iou_3d):
        value = overlap(a, b)[0, 0]
        assert 0 <= value <= 1
        turn, shift = np.eye(7)[6] * np.pi, np.array([3.0, -7.0, 2.0, 0, 0, 0, 0])
        # Sizes are arbitrarily small here: areas of 1e-9 and less are told apart only as far as coordinates allow.
        if min(a[0, 3:6].min(), b[0, 3:6].min()) > 1e-3:
            for other in (overlap(b, a), overlap(a, b + turn), overlap(a + shift, b + shift)):
                assert other[0, 0] == pytest.approx(value, abs=1e-9)


def test_empty_tables_give_empty_tables():
    none, some = np.zeros((0, 7)), np.ones((3, 7))
    assert bev_iou(none, some).shape == (0, 3)
    assert iou_3d(some, none).shape == (3, 0)
    assert bev_iou(none, none, paired=True).shape == (0,)


@pytest.mark.parametrize(("column", "value"), [(0, np.nan), (2, np.inf), (6, -np.inf), (3, -1.0), (5, -1e-9), (1, 1e8)])
def test_boxes_without_sense_are_named(column, value):
    boxes = np.ones((6, 7))
    boxes[[1, 4], column] = value
    with pytest.raises(BoxError, match=re.escape("2 of 6 second boxes")) as error:
        bev_iou(np.ones((2, 7)), boxes)
    assert error.value.rows == (1, 4)


def test_other_shapes_are_refused():
    with pytest.raises(BoxError, match=re.escape("first boxes must have shape (B, 7)")):
        bev_iou(np.ones((2, 6)), np.ones((2, 7)))
    with pytest.raises(BoxError, match="as many first as second boxes, got 2 and 3"):
        iou_3d(np.ones((2, 7)), np.ones((3, 7)), paired=True)
