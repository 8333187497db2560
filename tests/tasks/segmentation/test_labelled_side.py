"""Labels of one side of a frame."""

import numpy as np
import pytest

from spikevox.tasks.datasets import LabelledSide, LidarFrame
from spikevox.tasks.errors import ConfigError


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


@pytest.mark.parametrize(("axis", "sides"), [("w", {"above": 0.0}), ("x", {}), ("x", {"above": 0.0, "below": 1.0})])
def test_a_side_is_one_half_space(axis, sides):
    with pytest.raises(ConfigError, match="expected an axis x, y or z and above or below"):
        LabelledSide(Three(), axis, **sides)
