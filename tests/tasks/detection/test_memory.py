"""Boxes copied from the training frame nearest in time, on a drive past cars that stand still."""

import numpy as np
import pytest

from spikevox.tasks.build import build
from spikevox.tasks.datasets import DetectionDataset, LidarFrame
from spikevox.tasks.detection.memory import copy_boxes
from spikevox.tasks.errors import ConfigError
from tasks.detection.toy_scene import labelled

GRID = {"voxel_size": 0.5, "lower": (-40, -40, -4), "upper": (40, 40, 4)}
CARS = np.array([[x, y, 0.0, 4.0, 2.0, 1.6, yaw] for x, y, yaw in ((5, 5, 0.3), (-9, 4, 1.2), (2, -12, -2.0))])


class Drive:
    """The vehicle turns by 0.1 and moves by 3 m in a second; each car has six points. A new car stands there from second 5."""

    def __init__(self, seconds, timed=True, boxed=True):
        self.frames = tuple(str(second) for second in seconds)
        self.seconds, self.timed, self.boxed = seconds, timed, boxed

    def __len__(self):
        return len(self.seconds)

    def frame(self, index):
        second = self.seconds[index]
        cars = labelled(np.concatenate([CARS, [[0, 20, 0, 4, 2, 1.6, 0]]]) if second >= 5 else CARS)
        pose = np.eye(4)
        c, s = np.cos(0.1 * second), np.sin(0.1 * second)
        pose[:2, :2], pose[0, 3] = [[c, -s], [s, c]], 3.0 * second
        boxes = cars.moved(np.linalg.inv(pose))
        points = (boxes.centers[:, None] + np.linspace(-0.2, 0.2, 6)[:, None]).reshape(-1, 3).astype(np.float32)
        return LidarFrame(
            points, ("x", "y", "z"), str(second), boxes=boxes if self.boxed else None,
            pose=pose, time=float(second) if self.timed else None,
        )  # fmt: skip


def split(seconds, **options):
    frames = {"type": Drive, "seconds": seconds, **options}
    return build({"type": DetectionDataset, "frames": frames, "classes": {"car": ["car"]}, "grid": GRID})


def test_boxes_that_stand_still_are_found_again_through_the_poses():
    result = copy_boxes(split([0, 2]), split([3, 4]))
    assert set(result) == {"frame", "world"}
    row = result["world"].row("car", "bev", "moderate")
    assert (row.boxes, row.exact) == (6, 100.0)
    assert result["frame"].row("car", "bev", "moderate").exact < 20


def test_the_frame_nearest_in_time_is_remembered():
    # Second 7 knows the new car, second 2 does not.
    assert copy_boxes(split([2, 7]), split([6]))["world"].row("car", "bev", "moderate").exact == 100.0
    assert copy_boxes(split([2, 9]), split([5]))["world"].row("car", "bev", "moderate").exact == 75.0


def test_where_no_time_tells_how_frames_follow_there_is_no_memory():
    assert copy_boxes(split([0, 2], timed=False), split([3])) == {}
    assert copy_boxes(split([0, 2]), split([3], timed=False)) == {}
    assert copy_boxes(split([0, 2]), split([0])) == {}


def test_a_training_frame_without_boxes_is_named():
    with pytest.raises(ConfigError, match="0 has no boxes: a memory copies boxes"):
        copy_boxes(split([0], boxed=False), split([3]))
