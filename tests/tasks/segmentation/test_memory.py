"""Labels copied from the nearest training point, against a search by hand."""

import numpy as np
import pytest

from spikevox.tasks.datasets import LidarFrame
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.segmentation import copy_nearest, memory
from tasks.segmentation.toy_dataset import ToyScenes


def pose_of(split, index):
    """A vehicle that drives and turns."""
    angle = 0.7 * index + {"train": 0.0, "val": 2.0, "test": 4.0}[split]
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    pose[:3, 3] = 100 + 2 * index, -50, 0.5
    return pose


class Posed(ToyScenes):
    """The toy scenes, seen by a vehicle that drives: the same place has other coordinates in each frame."""

    def read(self, index):
        frame = super().read(index)
        return LidarFrame(
            frame.points, frame.columns, frame.source, labels=frame.labels, pose=pose_of(self.split, index)
        )


def by_hand(train, test, in_world):
    """IoU by class; every pair of points is looked at."""

    def places(data):
        for index in range(len(data)):
            frame = data.read(index)
            for row, raw in zip(frame.points[:, :3].astype(np.float64), frame.labels, strict=True):
                if data.class_map[int(raw)] >= 0:
                    moved = (pose_of(data.split, index) @ [*row, 1])[:3] if in_world else row
                    yield *moved, data.class_map[int(raw)]

    seen, asked = (np.array(list(rows)) for rows in ([row for data in train for row in places(data)], places(test)))
    distance = np.linalg.norm(asked[:, None, :3] - seen[None, :, :3], axis=2)
    predicted, true = seen[distance.argmin(axis=1), 3], asked[:, 3]
    both = [((predicted == c) & (true == c)).sum() for c in range(3)]
    return [n / ((predicted == c) | (true == c)).sum() for c, n in enumerate(both)]


def test_copies_equal_a_search_by_hand():
    train, test = [Posed("train", count=2), Posed("val", count=1)], Posed("test", count=2)
    found = copy_nearest(train, test)
    for coordinates in ("frame", "world"):
        assert found[coordinates].iou == pytest.approx(by_hand(train, test, coordinates == "world"))
    assert found["frame"].count == sum((test.read(i).labels > 0).sum() for i in range(2))
    assert abs(found["frame"].miou - found["world"].miou) > 0.05


def test_a_frame_seen_before_is_remembered():
    assert copy_nearest([Posed("train")], Posed("train"))["world"].miou == 1


@pytest.mark.parametrize(("most", "known"), [(1, 1), (30, 10), (10_000, None)])
def test_of_many_clouds_each_gives_an_equal_part(monkeypatch, most, known):
    sizes = []
    plain = memory.KDTree
    monkeypatch.setattr(memory, "KDTree", lambda xyz: sizes.append(len(xyz)) or plain(xyz))
    train = [ToyScenes("train", count=2), ToyScenes("val", count=1)]
    found = copy_nearest(train, ToyScenes("test", count=1), most_points=most)["frame"]
    labelled = [int((data.read(i).labels > 0).sum()) for data in train for i in range(len(data))]
    assert sizes == [sum(labelled) if known is None else 3 * known]
    assert found.count == int((ToyScenes("test", count=1).read(0).labels > 0).sum())


def test_without_poses_there_is_no_world():
    train = ToyScenes("train", count=2)
    assert set(copy_nearest([train], Posed("test", count=1))) == {"frame"}
    assert set(copy_nearest([Posed("train", count=1)], train)) == {"frame"}


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_without_labels_is_refused(monkeypatch, split):
    plain = ToyScenes.classes
    monkeypatch.setattr(ToyScenes, "classes", lambda self, frame: None if self.split == split else plain(self, frame))
    with pytest.raises(ConfigError, match=f"{split}/000 has no labels"):
        copy_nearest([ToyScenes("train", count=1)], ToyScenes("test", count=1))


def test_a_training_split_without_one_class_is_refused(monkeypatch):
    monkeypatch.setattr(ToyScenes, "classes", lambda self, frame: np.full(len(frame.points), -1))
    with pytest.raises(ConfigError, match="no point of the training split has a label of a class"):
        copy_nearest([ToyScenes("train", count=1)], ToyScenes("test", count=1))
