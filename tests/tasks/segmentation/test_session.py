"""From training to files of predictions, on toy scenes."""

import json

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from sklearn.metrics import accuracy_score, jaccard_score
from torch.optim import AdamW

from oracles.toy_scene import scene
from spikevox.layers.backbones import UNet
from spikevox.tasks import build_runner, cli, load_predictor, load_segmenter
from spikevox.tasks.checkpoint import read_weights
from spikevox.tasks.datasets import LidarFrame
from spikevox.tasks.errors import CheckpointError, ConfigError
from spikevox.tasks.schema import check_config
from spikevox.tasks.segmentation import Segmenter
from spikevox.tasks.transforms import DropPoints, RotateZ
from tasks.segmentation.toy_dataset import OPTIONS, ToyScenes

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning")


def experiment(epochs=2, count=5, **model):
    transforms = [{"type": RotateZ}, {"type": DropPoints}]
    backbone = {"type": UNet, "in_channels": 4, "size": "small", "batch_norm_momentum": 0.2}
    return {
        "model": {"type": Segmenter, "backbone": backbone, "num_classes": 3, "backend": "auto", "lovasz": 0.5, **model},
        "train_dataloader": {
            "batch_size": 4,
            "dataset": {"type": ToyScenes, "count": count, "transforms": transforms, "mix3d": 0.5},
        },
        "val_dataloader": {"batch_size": 2, "dataset": {"type": ToyScenes, "split": "val", "count": 3}},
        "test_dataloader": {"dataset": {"type": ToyScenes, "split": "test", "count": 2}},
        "train_cfg": {"max_epochs": epochs},
        "optim_wrapper": {"type": OptimWrapper, "optimizer": {"type": AdamW, "lr": 5e-3}},
        "randomness": {"seed": 3},
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    torch.set_num_threads(1)
    build_runner(experiment(epochs=8, count=8), folder).train()
    return folder


@pytest.fixture
def run(monkeypatch):
    """The command, with an experiment in place of a config file."""

    def call(*arguments, config=None):
        monkeypatch.setattr("spikevox.tasks.config.load_config", lambda *_: config or experiment(epochs=8, count=8))
        return cli.main(list(arguments))

    return call


def test_a_training_learns_and_keeps_the_best_miou(trained):
    figures = json.loads((trained / "training.json").read_text())
    assert set(figures["validation"]) == {"miou", "accuracy", "count"}
    assert figures["best"]["miou"] >= figures["validation"]["miou"]
    assert figures["best"]["miou"] > 0.5
    assert figures["validation"]["count"] == sum((scene(1000 + i)[1] > 0).sum() for i in range(3))
    lines = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0]
    assert all("lovasz_loss" in line for line in lines if "loss" in line)


class Stop(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 3:
            raise InterruptedError


def test_a_stopped_training_resumes_bit_for_bit(tmp_path):
    whole, stopped = tmp_path / "a", tmp_path / "b"
    build_runner(experiment(), whole).train()
    runner = build_runner(experiment(), stopped)
    runner.register_hook(Stop())
    with pytest.raises(InterruptedError):
        runner.train()
    build_runner(experiment(), stopped, resume=True).train()
    for name in ("weights.safetensors", "best.safetensors"):
        (found, _), (expected, _) = (read_weights(folder / name) for folder in (stopped, whole))
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert (whole / "log.jsonl").read_text() == (stopped / "log.jsonl").read_text()


@pytest.mark.parametrize("votes", [1, 4])
def test_test_scores_every_point_as_scikit_learn_does(trained, run, tmp_path, capsys, votes):
    weights = str(trained / "best.safetensors")
    arguments = ["test", "toy.py", weights, "--votes", str(votes), "--json", str(tmp_path / "m.json")]
    assert run(*arguments, "--figures", str(tmp_path / "f")) == 0
    figures = json.loads((tmp_path / "m.json").read_text())
    segment = load_segmenter(weights, views=votes)
    predicted, labels = [], []
    for index in range(2):
        points, raw = scene(2000 + index)
        known = raw > 0
        predicted.append(segment(points).argmax(axis=1)[known])
        labels.append(np.array([ToyScenes.class_map[int(r)] for r in raw])[known])
    predicted, labels = np.concatenate(predicted), np.concatenate(labels)
    expected = jaccard_score(labels, predicted, average=None)
    assert figures["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert list(figures["iou"].values()) == pytest.approx(expected.tolist())
    assert figures["miou"] == pytest.approx(expected.mean())
    assert figures["count"] == len(labels)
    assert figures["votes"] == votes
    assert 0 < figures["firing_rate"] < 4
    text = capsys.readouterr().out
    assert f"ToyScenes, split test: mIoU {figures['miou']:.4f}, accuracy {figures['accuracy']:.4f}" in text
    assert f"  ground               IoU {figures['iou']['ground']:.4f}, " in text
    assert (tmp_path / "f" / "confusion.png").read_bytes()[:4] == b"\x89PNG"


def test_predict_writes_raw_numbers_pictures_and_clouds(trained, run, tmp_path, capsys):
    weights = str(trained / "best.safetensors")
    assert run("predict", "toy.py", weights, "--out", str(tmp_path)) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"test_{index:03d}.{suffix}" for index in range(2) for suffix in ("label", "ply", "png")
    ]
    written = np.fromfile(tmp_path / "test_001.label", dtype="<u4")
    expected = load_segmenter(weights)(scene(2001)[0]).argmax(axis=1)
    assert np.array_equal(written, np.array([10, 40, 50])[expected])
    assert "test_001.label, .png, .ply: 400 points, most of them" in capsys.readouterr().out


def test_predict_takes_files_and_keeps_equal_names_apart(trained, run, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        scene(0, 50)[0].tofile(tmp_path / folder / "000000.bin")
    weights = str(trained / "best.safetensors")
    out = tmp_path / "out"
    assert run("predict", "toy.py", weights, str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(out)) == 0
    assert sorted(path.name for path in out.glob("*.label")) == ["000000.label", "000000_2.label"]
    assert (out / "000000.label").stat().st_size == 200


def test_a_split_without_labels_is_refused(trained, run, capsys, monkeypatch):
    def read(self, index):
        return LidarFrame(scene(index)[0], ("x", "y", "z", "intensity"), f"11/{index:06d}")

    monkeypatch.setattr(ToyScenes, "read", read)
    assert run("test", "toy.py", str(trained / "best.safetensors")) == 1
    assert "11/000000 has no labels: a split can be scored only where its points have labels" in capsys.readouterr().err


def test_more_votes_than_views_are_refused(trained, run, capsys):
    assert run("test", "toy.py", str(trained / "best.safetensors"), "--votes", "9") == 1
    assert "from 1 to 8, got 9" in capsys.readouterr().err


def test_fragments_of_a_config_are_used(trained, run, tmp_path):
    config = experiment(epochs=8, count=8)
    config["test_dataloader"]["fragments"] = 3
    weights = str(trained / "best.safetensors")
    assert run("test", "toy.py", weights, "--json", str(tmp_path / "m.json"), config=config) == 0
    segment = load_segmenter(weights, fragments=3)
    right = [(segment(scene(2000 + i)[0]).argmax(1), scene(2000 + i)[1]) for i in range(2)]
    hits = [np.array([10, 40, 50])[p] == np.where(y == 252, 10, y) for p, y in right]
    known = [y > 0 for _, y in right]
    expected = np.concatenate(hits)[np.concatenate(known)].mean()
    assert json.loads((tmp_path / "m.json").read_text())["accuracy"] == pytest.approx(expected)


def test_weights_know_what_they_label(trained):
    weights = trained / "weights.safetensors"
    assert load_segmenter(weights).class_names == ("box", "ground", "wall")
    with pytest.raises(CheckpointError, match="labels points: use load_segmenter"):
        load_predictor(weights)


def test_training_options_of_the_loss_do_not_make_another_network(trained, run):
    config = experiment(lovasz=0.0, class_weights=(1, 2, 3))
    assert run("test", "toy.py", str(trained / "weights.safetensors"), config=config) == 0


def test_distillation_says_that_it_is_for_classifiers(trained, tmp_path):
    config = {**experiment(), "distillation": {"weights": str(trained / "weights.safetensors")}}
    with pytest.raises(ConfigError, match="Segmenter has no pooled logits"):
        build_runner(config, tmp_path).train()


def test_a_config_may_name_what_a_segmentation_needs(monkeypatch):
    # A class of a user's own module would be refused; the keys are what is looked at here.
    monkeypatch.setattr(ToyScenes, "__module__", "spikevox.toy")
    config = experiment(class_weights=(1, 2, 3))
    config["test_dataloader"]["fragments"] = 2
    config["train_dataloader"]["dataset"] |= OPTIONS
    check_config(config, "toy.py")
    config["test_dataloader"]["fragments"] = 0
    with pytest.raises(ConfigError, match="fragments must be a whole number of at least 1"):
        check_config(config, "toy.py")
