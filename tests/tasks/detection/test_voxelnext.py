"""VoxelNeXt: published count, gradients on a generated street, cars learnt by heart, errors, the command."""

import json

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn
from torch.optim import AdamW

from spikevox.layers.backbones import VoxelNeXtBackbone
from spikevox.tasks import build_runner, cli, load_detector, load_segmenter
from spikevox.tasks.build import build
from spikevox.tasks.datasets import StreetFrames
from spikevox.tasks.datasets.detection import detection_batch
from spikevox.tasks.detection import NUSCENES_GROUPS, CentreHead, VoxelNeXt, box_result
from spikevox.tasks.errors import CheckpointError, ConfigError
from tasks.detection.toy_streets import OPTIONS, REACH, streets


def voxelnext(**options):
    cells = round(2 * REACH / 0.1)
    return {
        "type": VoxelNeXt,
        "backbone": {
            "type": VoxelNeXtBackbone, "in_channels": 4, "size": "small", "grid": (cells, cells, 33),
            "batch_norm_momentum": 0.1,
        },
        "head": {
            "type": CentreHead, "groups": [["car"]], "lower": (-REACH, -REACH), "cell": (0.8, 0.8), "velocity": False,
            "batch_norm_momentum": 0.1,
        },
        "backend": "auto",
        **options,
    }  # fmt: skip


@pytest.fixture(scope="module")
def cloud():
    return build(streets(first_seed=3)).cloud(0)


def test_published_parameter_count():
    head = {"type": CentreHead, "groups": NUSCENES_GROUPS, "lower": (-54, -54), "cell": (0.6, 0.6)}
    network = VoxelNeXt(VoxelNeXtBackbone(5, grid=(1440, 1440, 41)), head)
    assert sum(p.numel() for p in network.parameters()) == 7_981_398
    assert network.class_names == tuple(name for group in NUSCENES_GROUPS for name in group)


def taken_away(network):
    """Biases that a normalisation follows: what they add, it subtracts, so that their gradient is 0 but for rounding."""
    return {
        f"{name}.{place}.bias"
        for name, module in network.named_modules()
        if isinstance(module, nn.Sequential)
        for place, (layer, behind) in enumerate(zip(module, list(module)[1:], strict=False))
        if isinstance(behind, nn.BatchNorm1d) and getattr(layer, "bias", None) is not None
    }


def test_every_parameter_of_the_small_form_gets_a_gradient(cloud):
    network = build(voxelnext())
    losses = network(*detection_batch([cloud]), mode="loss")
    assert set(losses) == {"heat_loss", "box_loss", "objects"}
    assert int(losses.pop("objects")) == len(cloud.boxes)
    sum(losses.values()).backward()
    idle = taken_away(network)
    assert len(idle) == 5
    for name, parameter in network.named_parameters():
        assert bool(parameter.grad.isfinite().all()), name
        assert bool(parameter.grad.abs().sum() > 0) or name in idle, name


def test_a_frame_learnt_by_heart_is_found(cloud):
    """Nearly every car is found at an overlap of 0.5 in space before any box that is none."""
    torch.manual_seed(0)
    network, batch = build(voxelnext()), detection_batch([cloud])
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            # Statistics of the last steps, not of the first.
            module.momentum = 0.4
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3)
    rate = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, 30)
    for _ in range(30):
        losses = network(*batch, mode="loss")
        optimiser.zero_grad()
        (losses["heat_loss"] + losses["box_loss"]).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10)
        optimiser.step()
        rate.step()
    network.eval()
    found = network(*batch, mode="predict")
    result = box_result(batch.boxes, found, OPTIONS["min_overlap"])
    assert result.row("car", "3d", "moderate").boxes == len(cloud.boxes) >= 5
    assert result.row("car", "3d", "moderate").exact > 95
    best = found[0].take(np.arange(len(cloud.boxes)))
    nearest = np.linalg.norm(best.centers[:, None] - cloud.boxes.centers, axis=2).argmin(axis=1)
    assert (np.cos(best.yaw - cloud.boxes.yaw[nearest]) > 0.9).all()


@pytest.mark.filterwarnings("ignore:.*no voxel is left:UserWarning")
@pytest.mark.parametrize("lower", [1.0, 30.0], ids=["roofs", "nothing"])
def test_a_sample_without_objects_has_a_loss(cloud, lower):
    """Beside another, and alone; also where not one point lies in the grid's range."""
    grid = {**OPTIONS["grid"], "lower": (-16, -16, lower), "upper": (16, 16, lower + 4.8)}
    empty = build(streets(first_seed=3, grid=grid)).cloud(0)
    network = build(voxelnext())
    for batch in ([empty, cloud], [empty, empty]):
        losses = network(*detection_batch(batch), mode="loss")
        sum(losses.values()).backward()
        assert bool(losses["heat_loss"].isfinite())
    assert float(losses["box_loss"].detach()) == float(losses["objects"]) == 0
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters() if p.grad is not None)
    assert len(network.eval()(*detection_batch([empty]), mode="predict")) == 1


def test_parts_that_do_not_fit_are_named(cloud):
    head = voxelnext()["head"]
    backbone = VoxelNeXtBackbone(4, size="small")
    with pytest.raises(ConfigError, match="the head reads 64 channels, got in_channels of 32"):
        VoxelNeXt(backbone, {**head, "in_channels": 32})
    with pytest.raises(ConfigError, match="loss_weights has heat, box, velocity, not 'score'"):
        VoxelNeXt(backbone, head, loss_weights={"score": 1})
    with pytest.raises(ConfigError, match="choice has score, overlap, candidates, most"):
        VoxelNeXt(backbone, head, choice={"nms": 1})
    batch = detection_batch([cloud])._replace(boxes=None)
    with pytest.raises(ConfigError, match="needs the boxes of every frame"):
        build(voxelnext())(*batch, mode="loss")


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_it_trains_and_is_tested_and_predicts_by_the_command(tmp_path, monkeypatch):
    config = {
        "model": voxelnext(choice={"score": 0.01}),
        "train_dataloader": {"batch_size": 1, "dataset": streets(paste={"counts": {"car": 2}})},
        "val_dataloader": {"batch_size": 1, "dataset": streets(split="val")},
        "test_dataloader": {"dataset": streets()},
        "train_cfg": {"max_epochs": 4, "val_interval": 4},
        "optim_wrapper": {"type": OptimWrapper, "optimizer": {"type": AdamW, "lr": 4e-3}},
        "randomness": {"seed": 3},
    }
    build_runner(config, tmp_path / "run").train()
    weights = tmp_path / "run" / "weights.safetensors"
    monkeypatch.setattr("spikevox.tasks.config.load_config", lambda *_: config)
    assert cli.main(["test", "toy.py", str(weights), "--json", str(tmp_path / "m.json")]) == 0
    assert cli.main(["predict", "toy.py", str(weights), "--out", str(tmp_path / "out")]) == 0
    figures = json.loads((tmp_path / "m.json").read_text())
    found = load_detector(weights)(StreetFrames(1).frame(0).points)
    assert figures["detections"] == len(found) > 0
    assert json.loads((tmp_path / "out" / "0000_0000.json").read_text())["boxes"][0]["score"] == found.scores[0]
    with pytest.raises(CheckpointError, match="finds boxes: use load_detector"):
        load_segmenter(weights)
