"""Boxes as json: read back equal, and what is wrong in a file is named."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikevox.tasks.datasets import Boxes, read_boxes, write_boxes
from spikevox.tasks.errors import DataFileError

NUMBER = st.floats(-1e5, 1e5)
ROW = st.tuples(
    *(NUMBER,) * 3, *(st.floats(1e-3, 1e3),) * 3, NUMBER, st.floats(0, 1), st.sampled_from(["car", "Tür", ""])
)


def boxes(rows, *, scored=True):
    table = np.array([row[:8] for row in rows], dtype=np.float64).reshape(-1, 8)
    scores = table[:, 7] if scored else None
    return Boxes(table[:, :3], table[:, 3:6], table[:, 6], tuple(row[8] for row in rows), scores=scores)


@given(st.lists(ROW, max_size=5), st.booleans())
def test_boxes_are_read_back_equal(tmp_path_factory, rows, scored):
    path = tmp_path_factory.mktemp("boxes") / "a.json"
    written = boxes(rows, scored=scored)
    write_boxes(path, written, source="street_0/0000")
    found = read_boxes(path)
    assert np.array_equal(found.array(), written.array())
    assert found.names == written.names
    if rows:
        assert (found.scores is None) == (not scored)
        assert not scored or np.array_equal(found.scores, written.scores)


BOX = {"name": "car", "center": [0, 0, 0], "size": [4, 2, 1.5], "yaw": 0.5, "score": 0.5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"center": [0, 0]}, "box 1: expected a name"),
        ({"size": [4, 0, 1]}, "sizes positive"),
        ({"yaw": float("nan")}, "finite"),
        ({"score": float("inf")}, "finite"),
        ({"name": 3}, "box 1: expected a name"),
        ({"yaw": "left"}, "box 1: ValueError"),
        ({"size": None}, "box 1: TypeError"),
    ],
)
def test_what_is_wrong_in_a_box_is_named(tmp_path, change, message):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"boxes": [BOX, {**BOX, **change}]}))
    with pytest.raises(DataFileError, match=message):
        read_boxes(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"boxes": 3}', '{"boxes": [3]}', '{"boxes": [{"name": "car"}]}'])
def test_a_file_of_another_form_is_an_error(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataFileError, match=r"a\.json"):
        read_boxes(path)
    with pytest.raises(DataFileError, match=r"b\.json"):
        read_boxes(tmp_path / "b.json")


def test_numbers_that_are_not_finite_are_not_written(tmp_path):
    wrong = boxes([(float("nan"), 0, 0, 1, 1, 1, 0, 0.5, "car")])
    with pytest.raises(DataFileError, match="not finite"):
        write_boxes(tmp_path / "a.json", wrong)
    assert not list(tmp_path.iterdir())
