import numpy as np
import pytest

from spikevox.tasks.datasets import GeneratedShapes, ModelNet
from spikevox.tasks.datasets.modelnet import split_rows
from spikevox.tasks.datasets.shapes import SHAPES
from spikevox.tasks.errors import ConfigError, DataFileError
from spikevox.tasks.sampler import EpochBatchSampler
from spikevox.tasks.transforms import DropPoints, RotateZ

GOLDEN = "dcacbca8dc36e158"
GRID = {"voxel_size": 0.1, "origin": "minimum"}


def shapes(split="train", **options):
    return GeneratedShapes(split, count=40, grid=GRID, **options)


def test_shapes_are_made_again_point_for_point():
    one, other = shapes(), shapes()
    assert one.data_hash() == other.data_hash()
    assert one.data_hash() != shapes(shape_seed=1).data_hash()
    assert one.data_hash() != shapes("test").data_hash()


def test_the_generator_makes_what_it_made():
    """Changes when the shapes change: say so in the changelog, and train the shipped figures again."""
    assert shapes().data_hash()[:16] == GOLDEN


def test_classes_are_balanced_and_clouds_whole():
    data = shapes()
    assert np.bincount(data.labels()).tolist() == [4] * 10
    for index in range(len(data)):
        points, label, name = data.read(index)
        assert points.shape == (512, 3)
        assert np.isfinite(points).all()
        assert name.startswith(f"train/{data.class_names[label]}")


@pytest.mark.parametrize("name", SHAPES)
def test_every_solid_fills_space_in_three_dimensions(name, generator):
    points = SHAPES[name](generator, 2000)
    assert points.shape == (2000, 3)
    assert np.linalg.eigvalsh(np.cov(points.T)).min() > 1e-3
    assert np.abs(points).max() < 2


def test_a_sample_is_a_function_of_seed_epoch_and_index():
    options = {"transforms": [RotateZ(), DropPoints(0.5)]}
    data = shapes(seed=1, **options)
    one = data[(5, 3)]
    data[(4, 3)]
    assert np.array_equal(data[(5, 3)].features, one.features)
    assert not np.array_equal(data[(5, 4)].coordinates, one.coordinates)
    assert not np.array_equal(shapes(seed=2, **options)[(5, 3)].coordinates, one.coordinates)


def test_settings_leave_random_transforms_out():
    settings = shapes(
        transforms=[{"type": "NormaliseSphere"}, RotateZ()], features=("xyz", "count")
    ).pipeline.settings()
    assert settings["transforms"] == [{"type": "NormaliseSphere"}]
    assert settings["grid"]["voxel_size"] == [0.1, 0.1, 0.1]
    assert settings["features"] == ["xyz", "count"]


def test_unknown_splits_and_samples_are_refused():
    with pytest.raises(ConfigError, match=r"unknown split 'validation'; there are train, val, test, train\+val"):
        shapes("validation")
    with pytest.raises(IndexError, match="sample 40 of 40"):
        shapes()[40]


@pytest.mark.data
def test_modelnet10_has_the_published_split(data):
    options = {"data_root": data("modelnet10"), "grid": GRID}
    sizes = {split: len(ModelNet(split, **options)) for split in ("train", "val", "train+val", "test")}
    assert sizes["train+val"] == 3991
    assert sizes["test"] == 727
    assert sizes["train"] + sizes["val"] == 3991
    test = ModelNet("test", **options)
    assert test.class_names == (
        "bathtub", "bed", "chair", "desk", "dresser", "monitor", "night_stand", "sofa", "table", "toilet",
    )  # fmt: skip
    whole = np.bincount(ModelNet("train+val", **options).labels())
    held_out = np.bincount(ModelNet("val", **options).labels())
    assert held_out.tolist() == (whole // 10).tolist()
    assert test[0].label == 0
    assert test.read(0)[2] == "bathtub_0107"


def test_validation_takes_the_last_names_of_each_class():
    names = np.array([f"a_{i:02d}" for i in range(20)] + [f"b_{i:02d}" for i in range(15)])
    labels = np.array([0] * 20 + [1] * 15)
    order = np.random.default_rng(0).permutation(35)
    train, val = split_rows(labels[order], names[order])
    assert sorted(names[order][val]) == ["a_18", "a_19", "b_14"]
    assert (train == ~val).all()
    train, val = split_rows(labels, names, train_share=0.3, val_share=0.4)
    assert names[train].tolist() == names[:6].tolist() + names[20:25].tolist()
    assert names[val].tolist() == names[12:20].tolist() + names[29:].tolist()
    with pytest.raises(ConfigError, match=r"must not overlap within \[0, 1\], got 0\.7 and 0\.4"):
        split_rows(labels, names, train_share=0.7, val_share=0.4)


@pytest.mark.parametrize("damage", ["missing", "truncated", "incomplete"])
def test_damaged_modelnet_files_are_named(tmp_path, damage):
    path = tmp_path / "train.npz"
    if damage == "truncated":
        np.savez(path, points_q=np.zeros((5, 9, 3)))
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "incomplete":
        np.savez(path, points_q=np.zeros((5, 9, 3)))
    expected = {"missing": "--data DIR", "truncated": "truncated", "incomplete": r"lacks the arrays \['label'"}[damage]
    with pytest.raises(DataFileError, match=rf"train\.npz.*{expected}") as error:
        ModelNet("train", data_root=tmp_path, grid=GRID)
    assert error.value.path == path


def test_batches_cover_each_sample_once_and_follow_the_epoch():
    sampler = EpochBatchSampler(10, 4, shuffle=True, seed=1)
    sampler.set_epoch(2)
    batches = list(sampler)
    assert [len(b) for b in batches] == [4, 4, 2]
    assert sorted(i for b in batches for i, _ in b) == list(range(10))
    assert {epoch for b in batches for _, epoch in b} == {2}
    assert batches == list(sampler)
    sampler.set_epoch(3)
    assert [i for i, _ in batches[0]] != [i for i, _ in next(iter(sampler))]


def test_processes_share_every_global_batch():
    whole = list(EpochBatchSampler(11, 4, shuffle=True, seed=1))
    parts = [list(EpochBatchSampler(11, 4, shuffle=True, seed=1, rank=r, world_size=2)) for r in range(2)]
    assert [a + b for a, b in zip(*parts, strict=True)] == whole
    with pytest.raises(ConfigError, match="at least the number of processes"):
        EpochBatchSampler(11, 1, shuffle=True, world_size=2)
    with pytest.raises(ConfigError, match="no samples"):
        EpochBatchSampler(0, 1, shuffle=True)


def test_a_random_margin_shows_a_shape_in_other_phases_of_the_grid():
    still, moving = shapes(), shapes(random_margin=16)
    corners = np.array([moving[(3, epoch)].coordinates.min(axis=0) for epoch in range(40)])
    assert still[3].coordinates.min(axis=0).tolist() == [0, 0, 0]
    assert (corners.min(axis=0) < 4).all()
    assert (corners.max(axis=0) > 12).all()
    assert (corners.max(axis=0) <= 16).all()
    assert len({moving[(3, epoch)].report.kept for epoch in range(10)}) > 1
    assert np.array_equal(moving[(3, 5)].coordinates, moving[(3, 5)].coordinates)
    assert "random_margin" not in moving.pipeline.settings()
    with pytest.raises(ConfigError, match="needs a grid with origin='minimum', got 16"):
        GeneratedShapes("train", count=4, grid={"voxel_size": 0.1}, random_margin=16)
