import json

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from spikevox.tasks import cli, segmentation_session
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


@pytest.mark.parametrize("feature", [heights, surroundings])
def test_features_of_some_voxels_are_those_rows_of_all(feature):
    generator = np.random.default_rng(0)
    xyz, values = generator.uniform(-5, 5, (200, 3)), generator.uniform(0, 1, (200, 2))
    rows = np.array([150, 3, 77])
    assert feature(xyz, values, rows) == pytest.approx(feature(xyz, values)[rows], abs=1e-6)


def test_few_voxels_are_no_error():
    assert np.isfinite(surroundings(np.zeros((1, 3)), np.zeros((1, 2)))).all()


def test_the_forest_tells_the_toy_scenes_apart_and_chooses_on_validation():
    splits = [ToyScenes(split, count=3) for split in ("train", "val", "test")]
    found = point_forest(*splits, trees=30)
    assert found.result.miou > 0.6
    assert found.result.accuracy > 0.8
    assert found.features == max(found.validation, key=found.validation.get)
    assert set(found.validation) == {"heights", "surroundings", "both"}
    again = point_forest(*splits, trees=30)
    assert again[:3] == found[:3]
    assert np.array_equal(again.result.confusion, found.result.confusion)


def test_without_validation_the_last_fifth_of_the_training_clouds_chooses():
    class Last(ToyScenes):
        """The toy scenes of training from the sixth on."""

        def read(self, index):
            return super().read(index + 5)

    whole, test = ToyScenes("train", count=6), ToyScenes("test", count=1)
    found = point_forest(whole, None, test, trees=10)
    expected = point_forest(ToyScenes("train", count=5), Last("train", count=1), test, trees=10)
    assert found[:3] == expected[:3]
    assert np.array_equal(found.result.confusion, expected.result.confusion)
    with pytest.raises(ConfigError, match="training clouds held out: there must be two or more"):
        point_forest(ToyScenes("train", count=1), None, test, trees=10)


@pytest.mark.parametrize(("limits", "share"), [({}, None), ({"rows": 20}, 20), ({"most_rows": 90}, 30)])
def test_a_forest_takes_an_equal_part_of_every_cloud(monkeypatch, limits, share):
    sizes = []
    plain = RandomForestClassifier.fit
    monkeypatch.setattr(RandomForestClassifier, "fit", lambda self, x, y: sizes.append(len(x)) or plain(self, x, y))
    splits = [ToyScenes(split, count=count) for split, count in (("train", 3), ("val", 1), ("test", 1))]
    point_forest(*splits, trees=2, **limits)
    labelled = [int((split[index].labels >= 0).sum()) for split in splits[:2] for index in range(len(split))]
    # Three times on the training split, then with the validation split, whose cloud takes its part.
    later = 90 // 4 if share == 30 else share
    expected = [sum(labelled[:3]), sum(labelled)] if share is None else [3 * share, 4 * later]
    assert sizes == [*[expected[0]] * 3, expected[1]]


def test_the_command_prints_what_needs_no_network(monkeypatch, tmp_path, capsys):
    config = experiment(count=2)
    del config["val_dataloader"]
    monkeypatch.setattr("spikevox.tasks.config.load_config", lambda *_: config)
    assert cli.main(["baseline", "toy.py", "--trees", "20", "--json", str(tmp_path / "b.json")]) == 0
    figures = json.loads((tmp_path / "b.json").read_text())
    forest, memory = figures["forest"], figures["memory"]["frame"]
    assert list(forest["iou"]) == ["box", "ground", "wall"]
    text = capsys.readouterr().out
    assert f"forest of 20 trees on {forest['features']}: mIoU {forest['miou']:.4f}, accuracy" in text
    assert f"training point, in the frame's own coordinates: mIoU {memory['miou']:.4f}, accuracy" in text


@pytest.mark.parametrize("trees", ["0", "many"])
def test_a_forest_has_trees(capsys, trees):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["baseline", "toy.py", "--trees", trees])
    assert f"must be a whole number of at least 1, got '{trees}'" in capsys.readouterr().err


def test_both_yardsticks_learn_from_training_and_validation(monkeypatch):
    config = experiment(count=2)
    seen = []
    monkeypatch.setattr(segmentation_session, "point_forest", lambda *splits, trees: seen.extend(splits))
    monkeypatch.setattr(segmentation_session, "copy_nearest", lambda train, test: seen.extend([*train, test]))
    segmentation_session.baseline(config)
    assert [data.split for data in seen] == ["train", "val", "test"] * 2


def test_a_split_without_labels_is_refused(monkeypatch):
    plain = ToyScenes.classes
    monkeypatch.setattr(ToyScenes, "classes", lambda self, frame: None if self.split == "test" else plain(self, frame))
    with pytest.raises(ConfigError, match="test/000 has no labels"):
        point_forest(*(ToyScenes(split, count=1) for split in ("train", "val", "test")), trees=2)
