"""Frames cut off at a plane, against the whole frames."""

import numpy as np
import pytest

from spikevox.tasks.datasets import Boxes, CutFrames, LidarFrame
from spikevox.tasks.errors import ConfigError, DataFileError


class Frames:
    label_names = {0: "none", 1: "thing"}  # noqa: RUF012
    frames = ("00",)
    name = "toy"

    def __len__(self):
        return 1

    def frame(self, index):
        xyz = np.array([[0, y, 1] for y in (-3, -2, 0, 2, 2.5, 3)], dtype=np.float32)
        boxes = Boxes(np.array([[0, -3, 0], [0, 2, 0], [0, 2.1, 0.0]]), np.ones((3, 3)), np.zeros(3), ("a", "b", "c"))
        labels = np.arange(6)
        return LidarFrame(xyz, ("x", "y", "z"), "00", labels, labels * 10, boxes, np.eye(4), 1.5)


@pytest.mark.parametrize(
    ("bounds", "rows", "names"),
    [
        ({"above": 2}, [4, 5], ("c",)),
        ({"below": -2}, [0], ("a",)),
        ({"above": -2, "below": 2.05}, [2, 3], ("b",)),
    ],
)
def test_points_labels_and_boxes_go_together(bounds, rows, names):
    cut = CutFrames(Frames(), "y", **bounds)
    whole, frame = Frames().frame(0), cut.frame(0)
    assert np.array_equal(frame.points, whole.points[rows])
    assert frame.labels.tolist() == rows
    assert frame.instances.tolist() == [10 * row for row in rows]
    assert frame.boxes.names == names
    assert np.array_equal(frame.pose, whole.pose)
    assert frame.time == whole.time
    assert len(cut) == 1
    assert cut.frames == ("00",)


def test_names_say_what_is_kept():
    assert CutFrames(Frames(), "y", above=2).name == "toy, cut to y > 2 m"
    assert CutFrames(Frames(), "z", above=-2, below=1.5).name == "toy, cut to -2 < z < 1.5 m"


def test_nothing_left_and_wrong_bounds_are_errors():
    with pytest.raises(DataFileError, match="00 has no point where x > 1 m"):
        CutFrames(Frames(), "x", above=1).frame(0)
    with pytest.raises(ConfigError, match="above, below or both in this order"):
        CutFrames(Frames(), "x", above=1, below=1)
    with pytest.raises(ConfigError, match="expected an axis x, y or z"):
        CutFrames(Frames(), "w", above=1)
