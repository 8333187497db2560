"""The layout of modelnet40_normal_resampled, made from 150 of its shapes."""

from pathlib import Path

import numpy as np
import pytest

from spikevox.tasks.config import load_config
from spikevox.tasks.datasets import ModelNetResampled, farthest_points
from spikevox.tasks.errors import ConfigError, DataFileError
from spikevox.tasks.runner import build_runner

APPS = Path(__file__).resolve().parents[2] / "apps" / "modelnet"
GRID = {"voxel_size": 0.05, "origin": "minimum"}
PARAMETERS = {"t": 1_874_216, "s": 3_271_144, "l": 17_330_600, "h": 46_574_248}


def write(root, names, points):
    classes = sorted({name.rpartition("_")[0] for name in names})
    root.mkdir(exist_ok=True)
    (root / "modelnet40_shape_names.txt").write_text("\n".join(classes) + "\n")
    for split in ("train", "test"):
        (root / f"modelnet40_{split}.txt").write_text("\n".join(names) + "\n")
    for name, rows in zip(names, points, strict=True):
        folder = root / name.rpartition("_")[0]
        folder.mkdir(exist_ok=True)
        np.savetxt(folder / f"{name}.txt", rows, fmt="%.6f", delimiter=",")
    return root


@pytest.fixture
def tiny(tmp_path, generator):
    names = ["bed_0001", "night_stand_0001", "night_stand_0002"]
    return write(tmp_path / "m", names, generator.normal(size=(3, 40, 6)))


def test_points_are_chosen_by_coordinates_alone_and_stored_once(tiny):
    data = ModelNetResampled("test", points=7, data_root=tiny, grid=GRID)
    assert data.class_names == ("bed", "night_stand")
    points, label, name = data.read(2)
    assert (label, name) == (1, "night_stand_0002")
    source = np.loadtxt(tiny / "night_stand" / "night_stand_0002.txt", delimiter=",", dtype=np.float32)
    assert np.array_equal(points, source[farthest_points(source[:, :3], 7)])
    (tiny / "night_stand" / "night_stand_0002.txt").unlink()
    assert np.array_equal(data.read(2)[0], points)


def test_what_was_stored_for_another_number_of_points_is_not_taken(tiny):
    stored = tiny / "farthest_7" / "bed_0001.npy"
    ModelNetResampled("test", points=5, data_root=tiny, grid=GRID).read(0)
    stored.parent.mkdir()
    (tiny / "farthest_5" / "bed_0001.npy").rename(stored)
    assert len(ModelNetResampled("test", points=7, data_root=tiny, grid=GRID).read(0)[0]) == 7


def test_faults_are_named(tiny):
    with pytest.raises(DataFileError, match=r"modelnet10_shape_names\.txt cannot be read.*--data DIR"):
        ModelNetResampled(classes=10, data_root=tiny, grid=GRID)
    with pytest.raises(DataFileError, match=r"bed_0001\.txt: expected at least 50 rows .* got shape \(40, 6\)"):
        ModelNetResampled(points=50, data_root=tiny, grid=GRID).read(0)
    with (tiny / "modelnet40_train.txt").open("a") as file:
        file.write("sofa_0001\n")
    with pytest.raises(DataFileError, match=r"modelnet40_train\.txt: 'sofa_0001' belongs to no class"):
        ModelNetResampled(data_root=tiny, grid=GRID)
    with pytest.raises(ConfigError, match="classes must be 10 or 40, got 20"):
        ModelNetResampled(classes=20, data_root=tiny, grid=GRID)


@pytest.mark.data
def test_the_published_lists_have_their_numbers(data, tmp_path):
    """The lists alone, without any shape."""
    sizes = {}
    for classes in (10, 40):
        for split in ("train+val", "test"):
            sizes[classes, split] = len(
                ModelNetResampled(split, classes=classes, data_root=data("modelnet40"), grid=GRID)
            )
    assert sizes == {(10, "train+val"): 3991, (10, "test"): 908, (40, "train+val"): 9843, (40, "test"): 2468}


@pytest.mark.data
def test_the_experiment_trains_two_steps_on_real_shapes(data, tmp_path):
    with np.load(data("modelnet40") / "sample_4096_normals.npz") as file:
        points = np.concatenate([file["points_q"][:20] / 32000, file["normals_q"][:20] / 127], axis=2)
        root = write(tmp_path / "m", [f"airplane_{i:04d}" for i in range(20)], points)
    overrides = [f"{part}_dataloader.dataset.data_root={root}" for part in ("train", "val", "test")]
    overrides += [f"{part}_dataloader.dataset.points=2048" for part in ("train", "val", "test")]
    config = load_config(APPS / "classify_40_t.py", [*overrides, "train_dataloader.num_workers=0"])
    runner = build_runner(config, tmp_path / "run")
    optimiser = runner.build_optim_wrapper(runner.optim_wrapper)
    batches = iter(runner.train_dataloader)
    losses = [float(runner.model.train_step(next(batches), optimiser)["loss"].detach()) for _ in range(2)]
    assert 3.5 < losses[0] < 4.5  # about log(40)
    assert np.isfinite(losses[1])


@pytest.mark.parametrize("size", PARAMETERS)
def test_each_size_has_the_published_number_of_parameters(size):
    config = load_config(APPS / f"classify_40_{size}.py")
    model = dict(config["model"])
    encoder = {key: value for key, value in model["encoder"].items() if key != "type"}
    network = model["type"](model["encoder"]["type"](**encoder), num_classes=model["num_classes"])
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[size]
