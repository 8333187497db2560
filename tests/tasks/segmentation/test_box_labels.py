"""Labels of points from the boxes around them."""

import numpy as np
import pytest

from spikevox.tasks.datasets import Boxes, BoxLabels, LabelledFrames, LidarFrame, StreetFrames
from spikevox.tasks.errors import ConfigError

POINTS = np.array([[0, 0, 0], [2.9, 0, 0], [0, 2.9, 0], [10, 2.9, 0], [12.9, 0, 0], [0, 0, 2], [20, 0, 0]], np.float32)
BOXES = Boxes(
    np.array([[0.0, 0, 0], [10, 0, 0], [20, 0, 0], [20, 0, 0]]),
    np.array([[6.0, 2, 2], [6, 2, 2], [1, 1, 1], [9, 9, 9]]),
    np.array([0.0, np.pi / 2, 0, 0]),
    ("car", "tram", "cone", "car"),
)


class Two:
    def __init__(self):
        self.label_names = {9: "something else"}
        self.frames = ("with", "without")

    def __len__(self):
        return 2

    def frame(self, index):
        boxes = BOXES if index == 0 else None
        return LidarFrame(POINTS, ("x", "y", "z"), f"frame {index}", np.full(7, 9), boxes=boxes)


def test_points_get_the_label_of_their_box():
    labelled = BoxLabels({"type": Two}, ("cone", "car"))
    assert dict(labelled.label_names) == {0: "background", 1: "cone", 2: "car"}
    assert labelled.frames == ("with", "without")
    assert len(labelled) == 2
    # The second box stands across, and is of a name that nobody asked for.
    assert labelled.frame(0).labels.tolist() == [2, 2, 0, -1, 0, 0, 1]
    assert labelled.frame(0).boxes is BOXES
    assert labelled.frame(1).labels is None


def test_labels_of_generated_streets_are_those_of_what_the_rays_met():
    frame = BoxLabels(StreetFrames(1, sensor="hdl32"), ("car",)).frame(0)
    truth = StreetFrames(1, sensor="hdl32").frame(0).labels
    met = truth == 16
    assert met.sum() > 500
    # Noise of the range puts some points of a surface out of its box.
    assert (frame.labels[met] == 1).mean() > 0.8
    assert (met | (truth == 17))[frame.labels == 1].mean() > 0.9


def test_they_are_learned_from():
    data = LabelledFrames(
        Two(), classes={"something": (9,)}, grid={"voxel_size": 1.0, "origin": "minimum"}, features=("xyz",)
    )
    boxed = LabelledFrames(
        BoxLabels(Two(), ("car", "cone")),
        classes={"background": (0,), "car": (1,)},
        grid={"voxel_size": 1.0, "origin": "minimum"},
        features=("xyz",),
    )
    assert data.classes(data.read(0)).tolist() == [0] * 7
    assert boxed.classes(boxed.read(0)).tolist() == [1, 1, 0, -1, 0, 0, -1]


@pytest.mark.parametrize("names", [(), ("car", "car"), ("background",)])
def test_wrong_names_are_refused(names):
    with pytest.raises(ConfigError, match="expected names of boxes"):
        BoxLabels(Two(), names)
