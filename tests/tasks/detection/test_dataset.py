"""Frames as voxels and boxes: boxes go along with their points, and come back; what is left out, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikevox.tasks.datasets import Boxes, DetectionDataset, LidarFrame, StreetFrames, map_boxes
from spikevox.tasks.datasets.detection import detection_batch
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.schema import check_config
from spikevox.tasks.transforms import DropPoints, Flip, Jitter, NormaliseSphere, RotateZ, Scale, ScaleColumns, Shift

GRID = {"voxel_size": 0.5, "lower": (-20, -20, -5), "upper": (20, 20, 5)}
AUGMENTATION = [Flip(), RotateZ(), Scale(0.2), Shift(2.0)]


class Boxed:
    """Boxes with points inside, and points around them."""

    def __init__(self, seed=0, *, boxes=True):
        generator = np.random.default_rng(seed)
        count = 6
        self.truth = Boxes(
            generator.uniform((-15, -15, -1), (15, 15, 1), (count, 3)),
            generator.uniform(0.5, 5, (count, 3)),
            generator.uniform(-np.pi, np.pi, count),
            ("car", "van", "walker", "bus", "car", "walker"),
            velocities=generator.normal(size=(count, 2)),
        )
        # In units of half a box: 20 points each, none near a face.
        self.local = generator.uniform(-0.95, 0.95, (count, 20, 3))
        c, s = np.cos(self.truth.yaw)[:, None], np.sin(self.truth.yaw)[:, None]
        x, y, z = np.moveaxis(self.local * self.truth.sizes[:, None] / 2, -1, 0)
        inside = np.stack([x * c - y * s, x * s + y * c, z], axis=-1) + self.truth.centers[:, None]
        xyz = np.concatenate([inside.reshape(-1, 3), generator.uniform(-20, 20, (80, 3))])
        points = np.column_stack([xyz, np.arange(len(xyz))]).astype(np.float32)
        self.frame_ = LidarFrame(points, ("x", "y", "z", "number"), "boxed", boxes=self.truth if boxes else None)
        self.frames = ("boxed",)
        self.label_names = {}

    def __len__(self):
        return 1

    def frame(self, index):
        return self.frame_


CLASSES = {"vehicle": ["car", "van"], "walker": ["walker"]}


def dataset(seed=0, *, boxes=True, **options):
    options = {
        "classes": CLASSES,
        "grid": GRID,
        "columns": ("x", "y", "z", "number"),
        "features": ("xyz", "number"),
        **options,
    }
    return DetectionDataset(Boxed(seed, boxes=boxes), **options)


def test_boxes_are_chosen_and_named_by_their_class():
    boxes = dataset().cloud(0).boxes
    assert boxes.names == ("vehicle", "vehicle", "walker", "vehicle", "walker")
    assert np.array_equal(boxes.centers, Boxed().truth.centers[[0, 1, 2, 4, 5]])


def in_units_of_the_box(boxes, points):
    """(B, 20, 3) places of the points that were drawn in each box, by hand."""
    mine = points.reshape(len(boxes), 20, 3) - boxes.centers[:, None]
    c, s = np.cos(boxes.yaw)[:, None], np.sin(boxes.yaw)[:, None]
    turned = np.stack([mine[..., 0] * c + mine[..., 1] * s, mine[..., 1] * c - mine[..., 0] * s, mine[..., 2]], axis=-1)
    return turned / (boxes.sizes[:, None] / 2)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 100_000))
def test_points_keep_their_place_in_their_boxes(seed):
    """Every point stays where it was in units of its box, up to a mirror."""
    scene, generator = Boxed(seed), np.random.default_rng(seed)
    points, boxes = scene.frame_.points[:, :3].astype(np.float64), scene.truth
    for transform in AUGMENTATION:
        state = generator.bit_generator.state
        motion = transform.draw(generator)
        generator.bit_generator.state = state
        points = transform(points, ("x", "y", "z"), generator)
        boxes = map_boxes(boxes, motion)
    found = in_units_of_the_box(boxes, points[: 20 * len(boxes)])
    expected = in_units_of_the_box(scene.truth, scene.frame_.points[: 20 * len(boxes), :3].astype(np.float64))
    mirrored = expected * [1, -1, 1]
    assert np.abs(found - expected).max() < 1e-9 or np.abs(found - mirrored).max() < 1e-9
    np.testing.assert_allclose(np.abs(expected), np.abs(scene.local), atol=1e-4)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 100_000))
def test_the_inverse_motion_takes_boxes_back(seed):
    truth, generator = Boxed(seed).truth, np.random.default_rng(seed)
    motion = np.eye(4)
    for transform in AUGMENTATION:
        motion = transform.draw(generator) @ motion
    back = map_boxes(map_boxes(truth, motion), np.linalg.inv(motion))
    np.testing.assert_allclose(back.centers, truth.centers, atol=1e-9)
    np.testing.assert_allclose(back.sizes, truth.sizes, atol=1e-9)
    np.testing.assert_allclose(back.velocities, truth.velocities, atol=1e-9)
    np.testing.assert_allclose(np.cos(back.yaw - truth.yaw), 1, atol=1e-12)
    assert back.names == truth.names


def test_points_of_voxels_lie_in_the_boxes_of_their_sample():
    """Through the whole data set: voxel features are the moved points, their numbers tell which box they were drawn in."""
    wide = {"voxel_size": 0.5, "lower": (-60, -60, -20), "upper": (60, 60, 20)}
    augmented = dataset(transforms=[Flip(), RotateZ(), Scale(0.2), Shift(1.0), DropPoints(0.3)], grid=wide, seed=1)
    seen = []
    for epoch in range(5):
        cloud = augmented.cloud((0, epoch))
        numbers = cloud.voxels.features[:, 3].astype(int)
        for place, row in enumerate([0, 1, 2, 4, 5]):
            mine = cloud.voxels.features[(numbers >= 20 * row) & (numbers < 20 * row + 20)]
            assert len(mine)
            assert cloud.boxes.take(np.array([place])).count_points(mine).tolist() == [len(mine)]
        seen.append(cloud.boxes.array())
        again = augmented.cloud((0, epoch))
        assert np.array_equal(again.boxes.array(), seen[-1])
        assert np.array_equal(again.voxels.features, cloud.voxels.features)
    assert len({boxes.tobytes() for boxes in seen}) == 5


def test_boxes_that_nobody_could_find_are_left_out():
    scene = Boxed()
    counts = scene.truth.count_points(scene.frame_.points)
    for least in (1, int(counts.min()) + 1):
        names = dataset(least_points=least).cloud(0).boxes
        assert len(names) == sum(c >= least for c, n in zip(counts, scene.truth.names, strict=True) if n != "bus")
    narrow = dataset(grid={"voxel_size": 0.5, "lower": (-20, -20, -5), "upper": (0, 20, 5)}).cloud(0).boxes
    assert len(narrow) == sum(
        c[0] < 0 for c, n in zip(scene.truth.centers, scene.truth.names, strict=True) if n != "bus"
    )


def test_a_batch_holds_the_boxes_of_its_samples():
    cloud = dataset().cloud(0)
    batch = detection_batch([cloud, cloud])
    assert batch.batch_size == 2
    assert [len(b) for b in batch.boxes] == [5, 5]
    assert batch.sources == ("boxed", "boxed")
    assert batch.report.points == 2 * cloud.voxels.report.points
    unlabelled = dataset(boxes=False).cloud(0)
    assert unlabelled.boxes is None
    assert detection_batch([cloud, unlabelled]).boxes is None


@pytest.mark.parametrize("transform", [NormaliseSphere(), Scale(0.1, each_axis=True)])
def test_transforms_that_would_leave_boxes_wrong_are_refused(transform):
    with pytest.raises(ConfigError, match=f"boxes cannot go along with {type(transform).__name__}"):
        dataset(transforms=[transform])


def test_transforms_that_leave_boxes_right_are_taken():
    dataset(transforms=[ScaleColumns({"number": 0.1}), Jitter(), DropPoints(), Shift()]).cloud(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": {}}, "at least one class"),
        ({"classes": {"car": "car"}}, "needs a list of names"),
        ({"classes": {"a": ["car"], "b": ["car"]}}, "no other class takes"),
        ({"indices": [1]}, "names frame 1; Boxed has 1"),
        ({"grid": {"voxel_size": 0.5}}, "lower and upper"),
        ({"grid": {**GRID, "origin": "minimum"}}, "origin='absolute'"),
        ({"min_overlap": {"bus": 0.5}}, "belongs to a class, got 'bus'"),
        ({"min_overlap": {"walker": 1.5}}, "between 0 and 1"),
        ({"columns": ("x", "y", "z", "ring")}, "no column 'ring'"),
    ],
)
def test_options_that_do_not_fit_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        dataset(**{"features": ("xyz",), **options}).cloud(0)


def test_overlaps_are_kittis_unless_chosen():
    assert dataset(classes={"Car": ["car"], "walker": ["walker"]}).min_overlap == {"Car": 0.7, "walker": 0.5}
    assert dataset(min_overlap={"walker": 0.25}).metric_options == {"min_overlap": {"vehicle": 0.5, "walker": 0.25}}


def test_streets_give_cars():
    streets = DetectionDataset(StreetFrames(2), classes={"car": ["car", "van", "pickup"]}, grid=GRID, least_points=5)
    clouds = [streets.cloud(index) for index in range(2)]
    assert all(len(cloud.boxes) >= 3 and set(cloud.boxes.names) == {"car"} for cloud in clouds)
    assert streets.frame_name(1, streets.read(1)) == "0001/0000"


def test_a_misspelt_option_of_an_experiment_is_found():
    node = {"type": DetectionDataset, "frames": {"type": StreetFrames, "count": 1}, "classes": CLASSES, "gird": GRID}
    config = {
        "model": {"type": DetectionDataset},
        "train_dataloader": {"batch_size": 1, "dataset": node},
        "train_cfg": {"max_epochs": 1},
        "optim_wrapper": {"type": DetectionDataset, "optimizer": {}},
    }
    with pytest.raises(ConfigError, match="did you mean 'grid'"):
        check_config(config, "toy.py")
