import json

import numpy as np
import pytest

from spikevox.tasks import cli
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.segmentation import point_forest
from spikevox.tasks.segmentation.baseline import heights, surroundings
from tasks.segmentation.test_session import experiment
from tasks.segmentation.toy_dataset import ToyScenes


def test_heights_are_taken_in_columns_of_2_m():
    xyz = np.array([[0.1, 0.1, 0.0], [1.9, 1.9, 3.0], [2.1, 0.1, 7.0]])
    found = heights(xyz, np.array([[5.0], [6.0], [7.0]]))
    assert found[:, 1].tolist() == [0, 3, 0]
    assert found[:, 2].tolist() == [3, 0, 0]
    assert found[:, 3] == pytest.approx(np.hypot(xyz[:, 0], xyz[:, 1]))
    assert found[:, 4].tolist() == [5, 6, 7]


def test_lines_planes_and_balls_look_like_themselves():
    generator = np.random.default_rng(0)
    cloud = generator.uniform(-1, 1, (300, 3))
    none = np.zeros((300, 0))
    for column, flat in enumerate(((1, 0, 0), (1, 1, 0), (1, 1, 1))):
        shape = surroundings(cloud * flat, none)
        assert shape.shape == (300, 16)
        # Of linearity, planarity and scattering among the 48 nearest the right one is the largest.
        assert shape[:, 9:12].mean(axis=0).argmax() == column
    # The normal of a horizontal plane points up, that of a wall does not.
    assert surroundings(cloud * (1, 1, 0), none)[:, 5] == pytest.approx(1)
    assert surroundings(cloud * (1, 0, 1), none)[:, 5] == pytest.approx(0)


def test_few_voxels_are_no_error():
    assert np.isfinite(surroundings(np.zeros((1, 3)), np.zeros((1, 2)))).all()


def test_the_forest_tells_the_toy_scenes_apart_and_chooses_on_validation():
    splits = [ToyScenes(split, count=3) for split in ("train", "val", "test")]
    found = point_forest(*splits, trees=30)
    assert found.miou > 0.6
    assert found.accuracy > 0.8
    assert found.features == max(found.validation, key=found.validation.get)
    assert set(found.validation) == {"heights", "surroundings", "both"}
    assert point_forest(*splits, trees=30) == found


def test_the_command_prints_the_forests_figures(monkeypatch, tmp_path, capsys):
    config = experiment(count=2)
    monkeypatch.setattr(cli, "_load", lambda options: config)
    assert cli.main(["baseline", "toy.py", "--json", str(tmp_path / "b.json")]) == 0
    figures = json.loads((tmp_path / "b.json").read_text())
    assert f"forest of 500 trees on {figures['features']}: mIoU {figures['miou']:.4f}" in capsys.readouterr().out
    del config["val_dataloader"]
    assert cli.main(["baseline", "toy.py"]) == 1
    assert "has no val_dataloader" in capsys.readouterr().err


def test_a_split_without_labels_is_refused(monkeypatch):
    plain = ToyScenes.classes
    monkeypatch.setattr(ToyScenes, "classes", lambda self, frame: None if self.split == "test" else plain(self, frame))
    with pytest.raises(ConfigError, match="test/000 has no labels"):
        point_forest(*(ToyScenes(split, count=1) for split in ("train", "val", "test")), trees=2)
