"""Pages that the command writes: of samples as a network sees them, and of files."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from spikevox.tasks import cli
from spikevox.tasks.datasets import Boxes, GeneratedShapes, write_boxes

TINY = str(Path(__file__).resolve().parent.parent / "robustness" / "tiny.py")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")


def scenes(path):
    return json.loads(re.search(r'id="manifest">([^<]*)<', path.read_text(encoding="utf-8"))[1])["scenes"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    arguments = ["train", TINY, "--work-dir", str(folder / "run"), "--set", "train_cfg.max_epochs=1"]
    assert cli.main([*arguments, "--html", str(folder / "train.html")]) == 0
    return folder


@pytest.fixture
def weights(trained):
    return str(trained / "run" / "weights.safetensors")


def test_a_training_leaves_a_page_of_its_validation(trained):
    found = scenes(trained / "train.html")
    assert len(found) == 4
    for scene in found:
        kinds = [layer["kind"] for layer in scene["layers"]]
        assert kinds[:2] == ["points", "voxels"]
        assert kinds.count("spikes") > 3
        assert scene["notes"][0].startswith("taken for ")


def test_pages_of_test_and_predict(trained, weights, tmp_path, capsys):
    assert cli.main(["test", TINY, weights, "--html", str(tmp_path / "test.html")]) == 0
    assert "test.html, " in capsys.readouterr().out
    assert re.search(r"; it is \w+$", scenes(tmp_path / "test.html")[0]["notes"][0])
    shapes = GeneratedShapes("test", count=20, grid={"voxel_size": 0.3}, scanner={"points": 64})
    (tmp_path / "clouds").mkdir()
    for index in range(2):
        np.save(tmp_path / "clouds" / f"{index}.npy", shapes.read(index)[0])
    out = ["--out", str(tmp_path / "out"), "--html", str(tmp_path / "predict.html")]
    assert cli.main(["predict", TINY, weights, str(tmp_path / "clouds"), *out]) == 0
    said = json.loads((tmp_path / "out" / "predictions.json").read_text())
    found = scenes(tmp_path / "predict.html")
    assert [scene["notes"][0].split()[2] for scene in found] == [row["label"] for row in said]
    # What was written can be looked at without the network.
    assert cli.main(["view", str(tmp_path / "out"), "--out", str(tmp_path / "view.html")]) == 0
    found = scenes(tmp_path / "view.html")
    assert [scene["notes"][0].split()[2] for scene in found] == [row["label"] for row in said]
    assert [layer["kind"] for layer in found[0]["layers"]] == ["points"]


def test_samples_and_clouds_of_an_experiment(weights, tmp_path):
    page = tmp_path / "view.html"
    assert cli.main(["view", TINY, weights, "--sample", "3", "--sample", "5", "--out", str(page), "--note", "<b>"]) == 0
    found = scenes(page)
    assert len(found) == 2
    assert found[0]["notes"][-1] == "<b>"
    assert not found[0]["spikes_shown"]
    np.save(tmp_path / "cloud.npy", np.random.default_rng(0).uniform(-1, 1, (50, 3)))
    arguments = ["view", TINY, weights, "--cloud", str(tmp_path / "cloud.npy"), "--spikes", "--out", str(page)]
    assert cli.main(arguments) == 0
    (scene,) = scenes(page)
    assert scene["title"].endswith("cloud.npy")
    assert scene["spikes_shown"]


def test_boxes_with_and_without_their_cloud(tmp_path):
    np.save(tmp_path / "cloud.npy", np.random.default_rng(0).uniform(-1, 1, (50, 4)))
    boxes = Boxes(np.zeros((1, 3)), np.ones((1, 3)), np.zeros(1), ("car",), scores=np.array([0.5]))
    (tmp_path / "found").mkdir()
    write_boxes(tmp_path / "found" / "a.json", boxes, source=str(tmp_path / "cloud.npy"))
    write_boxes(tmp_path / "found" / "b.json", boxes, source="002/44")
    assert cli.main(["view", str(tmp_path / "found"), "--out", str(tmp_path / "view.html")]) == 0
    first, second = scenes(tmp_path / "view.html")
    assert [layer["kind"] for layer in first["layers"]] == ["boxes", "points"]
    assert [layer["kind"] for layer in second["layers"]] == ["boxes"]
    assert first["layers"][0]["texts"] == ["car 0.50"]
    assert second["notes"] == ["1 boxes", "the cloud 002/44 is not there: boxes alone"]
    assert cli.main(["view", str(tmp_path / "found" / "b.json"), "--out", str(tmp_path / "view.html")]) == 0


def test_what_cannot_be_viewed_is_told_and_no_page_is_left(weights, tmp_path, capsys):
    def fails(*words):
        assert cli.main(["view", *map(str, words), "--out", str(tmp_path / "view.html")]) == 1
        assert not (tmp_path / "view.html").exists()
        return capsys.readouterr().err

    cloud = tmp_path / "nan.npy"
    np.save(cloud, np.full((2, 3), np.nan))
    assert "nan.npy: 2 of 2 points have NaN or infinite values" in fails(cloud)
    np.save(cloud, np.zeros((0, 3)))
    assert "nan.npy holds no points" in fails(cloud)
    np.save(cloud, np.zeros((3, 3)))
    (tmp_path / "nan.label").write_bytes(b"\0" * 8)
    assert "nan.label has 2 labels for 3 points" in fails(cloud)
    assert "is not there" in fails(tmp_path / "none.npy")
    assert "holds no cloud" in fails(Path(TINY).parent)
    assert "name its weights too" in fails(TINY)
    assert "there is no sample 99; GeneratedShapes has 20" in fails(TINY, weights, "--sample", 99)
    assert "is no experiment (.py), so --sample does not go with it" in fails(cloud, "--sample", 1)
    assert "so --spikes does not go with it" in fails(cloud, "--spikes")
    (tmp_path / "broken.json").write_text("{")
    assert "expected json" in fails(tmp_path / "broken.json")
