"""Readers around readers: frames brought into other coordinates, frames of several readers as one."""

import numpy as np
import pytest

from spikevox.tasks.datasets import AlignedFrames, Boxes, JoinedFrames, LidarFrame
from spikevox.tasks.errors import ConfigError


class Two:
    """Two frames of three points, the second without labels."""

    def __init__(self, start=0, names=None):
        self.start = start
        self.label_names = {0: "none", 7: "seven"} if names is None else names
        self.frames = (f"{start}a", f"{start}b")

    def __len__(self):
        return 2

    def frame(self, index):
        points = np.array([[0, 1, 2, 255], [3, 4, 5, 51], [6, 7, 8, 0]], dtype=np.float32)
        boxes = Boxes(np.zeros((1, 3)), np.ones((1, 3)), np.zeros(1), ("car",))
        labels = np.array([0, 7, 7]) if index == 0 else None
        columns = ("x", "y", "z", "intensity")
        return LidarFrame(points, columns, f"{self.start}/{index}", labels, boxes=boxes, pose=np.eye(4))


def test_aligned_points_are_moved_and_scaled_and_keep_their_labels():
    aligned = AlignedFrames({"type": Two}, shift=(1, 0, -1.5), factors={"intensity": 1 / 255})
    found = aligned.frame(0)
    assert found.points.dtype == np.float32
    np.testing.assert_allclose(found.points, [[1, 1, 0.5, 1], [4, 4, 3.5, 0.2], [7, 7, 6.5, 0]], rtol=1e-6)
    assert found.labels.tolist() == [0, 7, 7]
    # They would lie where the points were.
    assert found.boxes is None
    assert found.pose is None
    assert (len(aligned), aligned.frames, aligned.label_names) == (2, ("0a", "0b"), {0: "none", 7: "seven"})
    assert aligned.frame(1).labels is None
    assert aligned.name == "Two"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shift": (0, 1)}, r"shift must be three finite numbers, got \(0, 1\)"),
        ({"shift": (0, 0, float("nan"))}, "shift must be three finite numbers"),
        ({"factors": {"z": 2.0}}, "of columns that are not coordinates, got {'z': 2.0}"),
        ({"factors": {"intensity": float("inf")}}, "factors must be finite"),
    ],
)
def test_a_wrong_alignment_is_named(options, message):
    with pytest.raises(ConfigError, match=message):
        AlignedFrames(Two(), **options)


def test_a_factor_of_an_absent_column_names_the_frame():
    with pytest.raises(ConfigError, match="0/1 has no column 'time'; it has x, y, z, intensity"):
        AlignedFrames(Two(), factors={"time": 2.0}).frame(1)


def test_joined_frames_follow_each_other_as_often_as_asked():
    joined = JoinedFrames([{"type": Two, "start": 3}, Two(5)], times=[2, 1])
    assert len(joined) == 6
    assert joined.name == "Two"
    assert joined.frames == ("0/3a", "0/3b", "0/3a", "0/3b", "1/5a", "1/5b")
    assert [joined.frame(index).source for index in range(6)] == ["3/0", "3/1", "3/0", "3/1", "5/0", "5/1"]
    assert [JoinedFrames([Two(3), Two(5)]).frame(index).source for index in (1, 2)] == ["3/1", "5/0"]
    with pytest.raises(IndexError):
        joined.frame(6)


def test_a_reader_of_boxes_alone_joins_others():
    joined = JoinedFrames([Two(names={}), Two(5)])
    assert joined.label_names == Two().label_names
    assert joined.frame(3).source == "5/1"
    with pytest.raises(ConfigError, match=r"readers\[2\], Two, numbers labels otherwise than readers\[1\]"):
        JoinedFrames([Two(names={}), Two(), Two(names={0: "none", 7: "eight"})])


@pytest.mark.parametrize(
    ("readers", "times", "message"),
    [
        ([], None, "readers is empty"),
        ([Two(), Two(names={0: "none", 7: "eight"})], None, r"readers\[1\], Two, numbers labels otherwise"),
        ([Two(), Two()], [1], r"times needs a number from 1 on for each of 2 readers, got \[1\]"),
        ([Two()], [0], r"for each of 1 readers, got \[0\]"),
    ],
)
def test_readers_that_do_not_fit_are_named(readers, times, message):
    with pytest.raises(ConfigError, match=message):
        JoinedFrames(readers, times=times)
