"""Labels of one side of a frame."""

import numpy as np
import pytest

from spikevox.tasks.datasets import LabelledFrames, LabelledSide, LidarFrame
from spikevox.tasks.errors import ConfigError

GRID = {"grid": {"voxel_size": 0.5}, "features": ("xyz",)}


class Three:
    def __init__(self):
        self.label_names = {0: "none", **{number: f"class {number}" for number in range(4, 8)}}
        self.frames = ("first", "second")

    def __len__(self):
        return 2

    def frame(self, index):
        points = np.array([[0, -3, 0], [0, -2, 0], [0, 0, 5], [9, 2.5, 0]], dtype=np.float32)
        labels = np.array([4, 5, 6, 7]) if index == 0 else None
        return LidarFrame(points, ("x", "y", "z"), f"frame {index}", labels)


def test_labels_count_on_one_side_and_all_points_stay():
    left = LabelledSide(Three(), "y", above=2.0, unlabelled=99)
    right = LabelledSide({"type": Three}, "y", below=-2.0)
    assert len(left) == 2
    assert left.frames == ("first", "second")
    assert left.label_names == Three().label_names
    assert left.frame(0).labels.tolist() == [99, 99, 99, 7]
    assert right.frame(0).labels.tolist() == [4, 0, 0, 0]
    assert len(right.frame(0).points) == 4
    assert left.frame(1).labels is None


def test_a_strip_has_two_borders_and_strips_may_cross():
    strip = LabelledSide(Three(), "y", above=-2.5, below=2.0)
    assert strip.frame(0).labels.tolist() == [0, 5, 6, 0]
    assert LabelledSide(strip, "z", above=1.0).frame(0).labels.tolist() == [0, 0, 6, 0]


def test_reports_name_the_reader_and_where_labels_count():
    class Named(Three):
        name = "PandaSet 002"

    left = LabelledSide(Named(), "y", above=2.0)
    assert left.name == "PandaSet 002, labels where y > 2 m"
    frames = LabelledFrames(LabelledSide(left, "x", above=-50, below=50), classes={"all": (4, 5, 6, 7)}, **GRID)
    assert frames.name == "PandaSet 002, labels where y > 2 m, labels where -50 < x < 50 m"
    assert LabelledSide(Three(), "y", below=-2.0).name == "Three, labels where y < -2 m"


@pytest.mark.parametrize(
    ("axis", "sides"), [("w", {"above": 0.0}), ("x", {}), ("x", {"above": 1.0, "below": 1.0}), ("x", {"above": np.nan})]
)
def test_a_side_is_somewhere(axis, sides):
    with pytest.raises(ConfigError, match="expected an axis x, y or z, and above, below or both"):
        LabelledSide(Three(), axis, **sides)
