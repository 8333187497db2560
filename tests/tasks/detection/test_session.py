"""From training to files of predictions, on generated streets and on folders in the layouts of KITTI and nuScenes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from torch.optim import AdamW

from spikevox.tasks import build_runner, cli, load_detector, load_predictor
from spikevox.tasks.build import build
from spikevox.tasks.checkpoint import read_weights
from spikevox.tasks.datasets import (
    KittiObjects,
    NuScenes,
    StreetFrames,
    boxes_from_labels,
    make_streets,
    read_boxes,
    read_labels,
    read_nuscenes_results,
    write_labels,
)
from spikevox.tasks.detection import box_result, kitti_result, nuscenes_result
from spikevox.tasks.detection.scoring import kitti_rows
from spikevox.tasks.errors import CheckpointError, ConfigError
from spikevox.tasks.transforms import Flip
from tasks.detection.toy_streets import detector, streets, two_stages

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning")


def experiment(epochs=24, test=None, **train):
    return {
        "model": detector(),
        "train_dataloader": {"batch_size": 1, "dataset": streets(**train)},
        "val_dataloader": {"batch_size": 1, "dataset": streets(split="val")},
        "test_dataloader": {"dataset": test or streets(count=2)},
        "train_cfg": {"max_epochs": epochs, "val_interval": 12},
        "optim_wrapper": {"type": OptimWrapper, "optimizer": {"type": AdamW, "lr": 4e-3}},
        "randomness": {"seed": 3},
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    torch.set_num_threads(1)
    build_runner(experiment(), folder).train()
    return folder


@pytest.fixture
def run(monkeypatch):
    """The command, with an experiment in place of a config file."""

    def call(*arguments, config=None):
        monkeypatch.setattr("spikevox.tasks.config.load_config", lambda *_: config or experiment())
        return cli.main([str(argument) for argument in arguments])

    return call


def test_a_training_learns_and_keeps_the_best_precision(trained):
    figures = json.loads((trained / "training.json").read_text())
    assert set(figures["validation"]) == {"ap_bev", "ap_3d", "boxes"}
    assert figures["validation"]["boxes"] == len(build(streets()).cloud(0).boxes)
    assert figures["best"]["ap_3d"] >= figures["validation"]["ap_3d"] > 30
    lines = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0] / 2
    assert all(
        {"score_loss", "box_loss", "direction_loss", "positives"} <= set(line) for line in lines if "loss" in line
    )


class Stop(Hook):
    def __init__(self, step):
        self.step = step

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.step:
            raise InterruptedError


def test_a_stopped_training_resumes_bit_for_bit(tmp_path):
    config = experiment(epochs=2, count=2, transforms=[{"type": Flip}])
    whole, stopped = tmp_path / "a", tmp_path / "b"
    build_runner(config, whole).train()
    runner = build_runner(config, stopped)
    runner.register_hook(Stop(3))
    with pytest.raises(InterruptedError):
        runner.train()
    build_runner(config, stopped, resume=True).train()
    (found, _), (expected, _) = (read_weights(folder / "weights.safetensors") for folder in (stopped, whole))
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert (whole / "log.jsonl").read_text() == (stopped / "log.jsonl").read_text()


def test_test_scores_what_the_detector_finds(trained, run, tmp_path, capsys):
    weights = trained / "weights.safetensors"
    assert run("test", "toy.py", weights, "--json", tmp_path / "m.json", "--figures", tmp_path / "f") == 0
    figures = json.loads((tmp_path / "m.json").read_text())
    detect, data = load_detector(weights), build(streets(count=2))
    frames = [data.read(index) for index in range(2)]
    found = [detect(frame.points) for frame in frames]
    truth = [data.visible(data.boxes(frame), frame.points) for frame in frames]
    rows = box_result(truth, found, {"car": 0.5}).rows
    assert figures["boxes"] == sum(len(boxes) for boxes in truth)
    assert [figures["ap_bev"], figures["ap_3d"]] == [row.exact for row in rows]
    assert figures["detections"] == sum(len(boxes) for boxes in found) > 0
    assert figures["min_overlap"] == {"car": 0.5}
    assert "boxes     R11" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "f").iterdir()) == ["0000_0000.png", "0001_0000.png"]


def test_predictions_of_streets_and_files_are_read_back_equal(trained, run, tmp_path):
    weights = trained / "weights.safetensors"
    points = StreetFrames(1).frame(0).points
    np.save(tmp_path / "mine.npy", points)
    out = tmp_path / "out"
    assert run("predict", "toy.py", weights, "--out", out) == 0
    assert run("predict", "toy.py", weights, tmp_path / "mine.npy", "--out", out) == 0
    names = {f"{name}.{end}" for name in ("0000_0000", "0001_0000", "mine") for end in ("json", "png")}
    assert {path.name for path in out.iterdir()} == names
    expected = load_detector(weights)(points)
    for name in ("0000_0000", "mine"):
        found = read_boxes(out / f"{name}.json")
        assert found.names == expected.names
        assert np.array_equal(found.array(), expected.array())
        assert np.array_equal(found.scores, expected.scores)


def test_predictions_in_kittis_layout_are_scored_as_kitti_does(trained, run, tmp_path):
    make_streets(tmp_path / "kitti", "kitti", streets=1, sweeps=1, sensor="pandar64")
    reader = KittiObjects(tmp_path / "kitti", "training")
    # Whether something hides a box is not known of generated ones, which would count at no level.
    path = tmp_path / "kitti" / "training" / "label_2" / f"{reader.frames[0]}.txt"
    write_labels(path, [replace(row, occluded=0) for row in read_labels(path)])
    test = streets(
        frames={"type": KittiObjects, "root": str(tmp_path / "kitti"), "split": "training"}, classes={"car": ["Car"]}
    )
    config, weights = experiment(test=test), trained / "weights.safetensors"
    assert run("predict", "toy.py", weights, "--out", tmp_path / "out", config=config) == 0
    name = reader.frames[0]
    rows = read_labels(tmp_path / "out" / f"{name}.txt")
    found = load_detector(weights)(reader.frame(0).points)
    expected = kitti_rows(reader, 0, found)
    assert rows == expected
    assert 0 < len(rows) < len(found)
    assert {row.name for row in rows} == {"Car"}
    back = boxes_from_labels(rows, reader.calibration(0))
    near = np.linalg.norm(back.centers[:, None] - found.centers, axis=2).min(axis=1)
    assert near.max() < 1e-9
    assert run("test", "toy.py", weights, "--json", tmp_path / "m.json", config=config) == 0
    result = kitti_result([reader.labels(0)], [rows], min_overlap={"car": 0.5})
    figures = json.loads((tmp_path / "m.json").read_text())
    assert len(figures["rows"]) == len(result.rows) == 12
    assert result.row("car", "3d", "moderate").boxes > 3
    assert figures["ap_3d"] == result.row("car", "3d", "moderate").exact
    assert (tmp_path / "out" / f"{name}.png").stat().st_size > 10_000


def test_predictions_in_nuscenes_layout_are_scored_as_nuscenes_does(trained, run, tmp_path):
    make_streets(tmp_path / "nuscenes", "nuscenes", streets=1, sweeps=1, sensor="pandar64")
    reader = NuScenes(tmp_path / "nuscenes")
    frames = {"type": NuScenes, "root": str(tmp_path / "nuscenes")}
    test = streets(frames=frames, classes={"car": ["vehicle.car"]})
    config, weights = experiment(test=test), trained / "weights.safetensors"
    assert run("predict", "toy.py", weights, "--out", tmp_path / "out", config=config) == 0
    frame = reader.frame(0)
    found = load_detector(weights)(frame.points)
    read = read_nuscenes_results(tmp_path / "out" / "results.json", {reader.frames[0]: frame.pose})[reader.frames[0]]
    assert read.names == found.names
    np.testing.assert_allclose(read.centers, found.centers, atol=1e-9)
    np.testing.assert_allclose(np.cos(read.yaw - found.yaw), 1, atol=1e-9)
    assert np.array_equal(read.scores, found.scores)
    assert run("test", "toy.py", weights, "--json", tmp_path / "m.json", config=config) == 0
    figures = json.loads((tmp_path / "m.json").read_text())
    in_world = read_nuscenes_results(tmp_path / "out" / "results.json")[reader.frames[0]]
    truth, origin = frame.boxes.moved(frame.pose), reader.vehicle(0)
    expected = nuscenes_result([truth], [in_world], origins=origin[None], classes=["car"])
    assert figures["rows"][0]["boxes"] == expected.rows[0].boxes > 10
    assert figures["mean_ap"] == pytest.approx(expected.mean_ap)
    # Velocities that are not known are written as 0, but not scored.
    assert figures["rows"][0]["errors"][:3] == pytest.approx(list(expected.rows[0].errors[:3]))


def test_two_stages_train_and_are_loaded_from_their_weights(tmp_path):
    """Resumes bit for bit too: proposals are drawn from a generator that checkpoints hold."""
    config = {**experiment(epochs=2), "model": two_stages(choice={"score": 0.0})}
    whole, stopped = tmp_path / "a", tmp_path / "b"
    build_runner(config, whole).train()
    runner = build_runner(config, stopped)
    runner.register_hook(Stop(1))
    with pytest.raises(InterruptedError):
        runner.train()
    build_runner(config, stopped, resume=True).train()
    (found, _), (expected, _) = (read_weights(folder / "weights.safetensors") for folder in (stopped, whole))
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert len(load_detector(whole / "weights.safetensors")(StreetFrames(1).frame(0).points)) > 0


def test_what_a_detector_cannot_do_is_said(trained, run, capsys, tmp_path):
    weights = trained / "weights.safetensors"
    assert run("test", "toy.py", weights, "--votes", 2) == 1
    assert "one view of each frame" in capsys.readouterr().err
    with pytest.raises(CheckpointError, match="finds boxes: use load_detector"):
        load_predictor(weights)
    other = experiment()
    other["model"]["choice"] = {"score": 0.3}
    assert run("test", "toy.py", weights, config=other) == 1
    assert "model" in capsys.readouterr().err


def test_kitti_has_no_place_for_other_classes(tmp_path):
    make_streets(tmp_path / "kitti", "kitti", streets=1, sweeps=1)
    reader = KittiObjects(tmp_path / "kitti", "training")
    boxes = reader.frame(0).boxes.take(np.array([0]))
    with pytest.raises(ConfigError, match="KITTI has no class 'lorry'"):
        kitti_rows(reader, 0, replace(boxes, names=("lorry",)))
