import re
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.segmentation_numpy import merged_labels
from oracles.toy_scene import scene
from spikevox.tasks.datasets import LabelledFrames, LidarFrame, semantickitti_label
from spikevox.tasks.datasets.pandaset import PandaSet
from spikevox.tasks.datasets.pandaset_label import FOURTEEN, merge_classes
from spikevox.tasks.errors import ConfigError, DataFileError
from spikevox.tasks.transforms import DropPoints, Flip, Jitter, RotateZ, Scale, Shift, mix_samples
from tasks.segmentation.toy_dataset import OPTIONS, ToyScenes

EVERYTHING = (RotateZ(), Scale(0.1), Flip(), Jitter(), Shift(), DropPoints(0.5))


class Marked(ToyScenes):
    """The intensity of a point tells its label, whatever happens to it."""

    def read(self, index):
        points, labels = scene(index, self.size)
        points[:, 3] = labels
        return LidarFrame(points, ("x", "y", "z", "intensity"), f"{index}", labels=labels)


@pytest.mark.parametrize("epoch", range(5))
def test_labels_stay_with_their_points_through_every_transform(epoch):
    # One point a voxel: the voxel's label is that of the point whose features it carries.
    data = Marked(transforms=EVERYTHING, grid={"voxel_size": 1e-3, "origin": "minimum"})
    cloud = data.cloud((0, epoch))
    raw = cloud.voxels.features[:, 3].astype(int)
    assert np.array_equal(cloud.voxels.labels, [data.class_map[label] for label in raw])
    assert np.array_equal(cloud.labels, cloud.voxels.labels[cloud.voxels.inverse])
    assert 200 <= len(cloud.labels) < 400
    same = data.cloud((0, epoch))
    assert np.array_equal(same.voxels.features, cloud.voxels.features)


def test_a_voxel_has_the_label_of_most_of_its_points():
    data = ToyScenes(grid={"voxel_size": 2.0, "origin": "minimum"})
    cloud = data.cloud(3)
    for voxel in range(len(cloud.voxels)):
        labels = cloud.labels[(cloud.voxels.inverse == voxel) & (cloud.labels >= 0)]
        expected = np.bincount(labels).argmax() if len(labels) else -1
        assert cloud.voxels.labels[voxel] == expected


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(0, 20))
def test_mixed_clouds_have_the_labels_of_a_merge_by_hand(count, epoch):
    data = ToyScenes(count=5, mix3d=1.0, transforms=EVERYTHING, points=120)
    clouds = data.__getitems__([(i, epoch) for i in range(count)])
    assert [cloud.sample for cloud in clouds] == [i // 2 for i in range(count)]
    batch = data.training_batch(clouds)
    assert batch.batch_size == (count + 1) // 2
    for sample in range(batch.batch_size):
        parts = [(c.voxels.coordinates, c.voxels.labels) for c in clouds if c.sample == sample]
        expected = merged_labels(parts)
        rows = batch.coordinates[:, 0] == sample
        found = batch.coordinates[rows, 1:].tolist()
        assert {tuple(v): int(label) for v, label in zip(found, batch.labels[rows], strict=True)} == expected
    assert batch.report.adds_up


def test_mixing_happens_with_its_probability_and_is_a_function_of_seed_and_epoch():
    mixed = [mix_samples(4, 0.8, np.random.default_rng(seed)) == [0, 0, 1, 1] for seed in range(500)]
    assert 0.75 < np.mean(mixed) < 0.85
    assert mix_samples(4, 0.0, np.random.default_rng(0)) == [0, 1, 2, 3]
    data = ToyScenes(mix3d=0.5)
    drawn = [[[c.sample for c in data.__getitems__([(0, e), (1, e)])] for e in range(20)] for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert [0, 0] in drawn[0]
    assert [0, 1] in drawn[0]
    with pytest.raises(ConfigError, match="mix3d is a probability, got 2"):
        ToyScenes(mix3d=2)


def test_raw_numbers_come_back_and_unknown_ones_are_named():
    data = ToyScenes()
    assert data.raw_labels == (10, 40, 50)
    frame = LidarFrame(np.zeros((3, 4), np.float32), ("x", "y", "z", "intensity"), "07/000001", np.array([10, 99, 99]))
    with pytest.raises(DataFileError, match=re.escape("07/000001: 2 of 3 points have labels that the class map")):
        data.classes(frame)


def test_columns_are_chosen_by_name():
    frame = LidarFrame(np.arange(10, dtype=np.float32).reshape(2, 5), ("x", "y", "z", "ring", "intensity"), "a")
    assert ToyScenes().points(frame).tolist() == [[0, 1, 2, 4], [5, 6, 7, 9]]
    with pytest.raises(ConfigError, match="a has no column 'time'; it has x, y, z, ring, intensity"):
        ToyScenes(columns=("x", "y", "z", "time"), features=("xyz",)).points(frame)


def test_frames_without_labels_make_voxels_without():
    class Unlabelled(ToyScenes):
        def read(self, index):
            return LidarFrame(scene(index)[0], ("x", "y", "z", "intensity"), "a")

    cloud = Unlabelled().cloud(0)
    assert cloud.labels is None
    assert cloud.voxels.labels is None


class Reader:
    label_names: ClassVar = {0: "unlabelled", 10: "box", 252: "other box", 40: "ground", 50: "wall"}

    def __init__(self, count=5):
        self.count = count
        self.frames = [f"07/{index:06d}" for index in range(count)]

    def __len__(self):
        return self.count

    def frame(self, index):
        points, labels = scene(index)
        return LidarFrame(points, ("x", "y", "z", "intensity"), f"{index:03d}", labels=labels)


CLASSES = {"box": (252, 10), "ground": (40,), "wall": (50,)}


def test_any_reader_becomes_a_data_set():
    own = ToyScenes()
    data = LabelledFrames({"type": Reader, "count": 4}, indices=(3, 1), classes=CLASSES, **OPTIONS)
    assert len(data) == 2
    assert data.name == "Reader"
    assert data.frame_name(1, data.read(1)) == "07/000001"
    assert data.class_names == own.class_names
    assert data.class_map == own.class_map
    assert data.raw_labels == (252, 40, 50)
    # Other random numbers, same points: nothing is random without transforms.
    assert np.array_equal(data[0].features, own[3].features)
    assert np.array_equal(data.cloud(1).labels, own.cloud(1).labels)
    assert len(LabelledFrames(Reader(), classes=CLASSES, **OPTIONS)) == 5
    with pytest.raises(ConfigError, match="indices names frame 5; Reader has 5"):
        LabelledFrames(Reader(), indices=[5], classes=CLASSES, **OPTIONS)


def test_points_that_nobody_labelled_do_not_count():
    class Joined(Reader):
        def frame(self, index):
            frame = super().frame(index)
            return replace(frame, labels=np.where(np.arange(len(frame.labels)) % 3 == 0, -1, frame.labels))

    found = LabelledFrames(Joined(), classes=CLASSES, **OPTIONS).cloud(0).labels
    whole = LabelledFrames(Reader(), classes=CLASSES, **OPTIONS).cloud(0).labels
    assert (found[::3] == -1).all()
    rest = np.arange(len(whole)) % 3 != 0
    assert np.array_equal(found[rest], whole[rest])


@pytest.mark.parametrize("numbers", [(), (40, 41), (10,)])
def test_classes_take_labels_that_are_known_and_free(numbers):
    with pytest.raises(ConfigError, match="class 'other' needs labels that Reader knows and no other class takes"):
        LabelledFrames(Reader(), classes={"box": (10,), "other": numbers}, **OPTIONS)


def test_semantickitti_has_its_19_classes_and_writes_their_numbers():
    class Numbers(Reader):
        label_names = semantickitti_label.LABEL_NAMES

    data = LabelledFrames(Numbers(), classes=semantickitti_label.CLASSES, **OPTIONS)
    assert data.class_names == semantickitti_label.CLASS_NAMES
    assert data.class_map == dict(semantickitti_label.LEARNING_MAP)
    assert list(data.raw_labels) == semantickitti_label.to_label_numbers(np.arange(19)).tolist()


@pytest.mark.data
def test_pandaset_has_merged_classes(data):
    reader = PandaSet(data("pandaset"), sensor=0)
    frames = LabelledFrames(reader, classes=FOURTEEN, indices=[0], **{**OPTIONS, "grid": {"voxel_size": 0.4}})
    cloud = frames.cloud(0)
    assert np.array_equal(cloud.labels, merge_classes(reader.frame(0).labels))
    assert (cloud.voxels.labels >= 0).mean() > 0.5
