"""Benchmarks of one scan: where no data is, generated scans take its place; what they count and compare is right."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from support import scans
from support.firing import set_rate
from torch import nn

from spikevox.encoding import collate
from spikevox.layers import SparseTensor
from spikevox.layers.backbones import UNet
from spikevox.tasks.datasets import LabelledFrames, read_points
from spikevox.tasks.datasets.pandaset_label import FOURTEEN, SIX
from spikevox.tasks.datasets.semantickitti_label import CLASSES
from spikevox.tasks.segmentation import PointSegmenter, Segmenter, most_likely

VOXELS = {
    "grid": {"voxel_size": 0.4, "lower": -20, "upper": 20, "origin": "minimum"},
    "columns": ("x", "y", "z", "intensity"),
    "features": ("xyz", "intensity"),
}


@pytest.fixture
def gradient():
    return importlib.import_module("support.gradients")


@pytest.fixture
def scan():
    return importlib.import_module("scan")


@pytest.mark.parametrize(
    ("place", "reader", "classes"),
    [
        (scans.semantickitti, scans.semantickitti_frames, CLASSES),
        (scans.pandaset, scans.pandaset_frames, FOURTEEN),
    ],
)
def test_without_data_a_generated_street_is_read_by_the_data_sets_reader(tmp_path, place, reader, classes):
    found = place(tmp_path / "absent", tmp_path)
    assert found.title.startswith("a generated street")
    frames = reader(found.root)
    data = LabelledFrames(frames, classes=classes, **VOXELS)
    labels = data.classes(data.read(0))
    assert len(frames) == 1
    assert len(labels) > 50_000
    # Most of its classes occur, and most of its points have one.
    assert len(np.unique(labels)) > 8
    assert (labels >= 0).mean() > 0.8


def test_data_that_is_there_is_used(tmp_path):
    scans.pandaset(tmp_path / "absent", tmp_path / "pandaset")
    assert scans.pandaset(tmp_path, tmp_path / "b") == scans.Scan(tmp_path / "pandaset", "PandaSet 002/44, Pandar64")


def test_a_generated_scan_before_the_camera_has_cars(tmp_path):
    found = scans.kitti(tmp_path / "absent", tmp_path)
    assert found.title.startswith("a generated street")
    batch = importlib.import_module("support.full_networks").boxed_voxels(found.root)
    names = set(batch.boxes[0].names)
    assert (batch.batch_size, names) == (1, {"Car"})
    assert len(batch.coordinates) > 5_000
    # The camera sees nothing behind it.
    assert batch.features[:, 0].min() > 0


def test_a_generated_sweep_has_objects_and_points_of_one_age(tmp_path):
    found = scans.nuscenes(tmp_path / "absent", tmp_path)
    assert found.title.startswith("a generated street")
    batch = importlib.import_module("support.full_networks").swept_voxels(found.root)
    assert len(set(batch.boxes[0].names) & {"car", "truck", "pedestrian"}) == 3
    assert batch.features.shape[1] == 5
    assert float(batch.features[:, 4].abs().max()) == 0


def test_full_networks_have_their_published_size():
    networks = importlib.import_module("support.full_networks").NETWORKS
    sizes = {name: sum(p.numel() for p in one.build("minkowski").parameters()) for name, one in networks.items()}
    assert sizes == {"unet": 20_049_683, "single_stage": 2_946_836, "two_stage": 8_597_116, "voxelnext": 7_981_398}


def test_a_step_takes_all_losses_and_leaves_its_gradients():
    step = importlib.import_module("full_step")
    one = step.FullNetwork("", "", {"lr": 0.1}, *[None] * 3)

    class Network(nn.Linear):
        def forward(self, x, *, mode):
            return {"a_loss": super().forward(x).sum(), "positives": torch.tensor(3.0), "b_loss": torch.tensor(2.0)}

    network, found = Network(2, 1), {}
    before, bias = network.weight.detach().clone(), float(network.bias.detach())
    step.step_of(network, [torch.ones(1, 2)], one, found)()
    assert found["loss"] == pytest.approx(float(before.sum()) + bias + 2)
    assert found["parameters_with_gradient"] == 3
    assert torch.all(network.weight < before)


def test_parameters_without_a_gradient_are_named(gradient):
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(5, 2))
    network(torch.rand(7, 3)).square().sum().backward()
    whole = gradient.gradients(network)
    assert (whole["tensors"], whole["tensors_with_gradient"], whole["without"]) == (6, 6, [])
    assert whole["parameters"] == whole["parameters_with_gradient"] == 16 + 25 + 12
    network[0].bias.grad = None
    network[1].weight.grad[2, 3] = float("nan")
    network[1].bias.grad[:] = 0
    network[2].weight.grad[1, 1] = 0
    found = gradient.gradients(network)
    assert found["without"] == ["0.bias", "1.weight", "1.bias"]
    assert found["tensors_with_gradient"] == 3
    assert found["parameters_with_gradient"] == 12 + 9 + 2
    assert found["largest"]["2.bias"] == float(network[2].bias.grad.abs().max())


def test_biases_before_a_normalisation_get_the_rounding_of_a_zero(gradient):
    network = Segmenter(UNet(4, size="small"), 3).double()
    names = gradient.centred(network)
    assert names == [f"backbone.up.{up}.fuse.{layer}.bias" for up in range(4) for layer in (1, 4)]
    rows = torch.unique(torch.randint(0, 24, (800, 4)) * torch.tensor([0, 1, 1, 1]), dim=0)
    network(rows, torch.rand(len(rows), 4).double(), torch.arange(len(rows)) % 3, 1, mode="loss")["loss"].backward()
    largest = gradient.gradients(network)["largest"]
    assert max(largest[name] for name in names) < 1e-12
    assert min(value for name, value in largest.items() if name not in names) > 1e-7


@pytest.mark.compiled
def test_the_stages_write_what_the_segmenter_says_in_the_event_engine(scan, tmp_path):
    found = scans.pandaset(tmp_path / "absent", tmp_path)
    torch.manual_seed(0)
    network = Segmenter(UNet(4, size="small"), len(SIX))
    data = LabelledFrames(scans.pandaset_frames(found.root), classes=SIX, **VOXELS)
    batch = collate([data[0]])
    x = SparseTensor(batch.features, batch.coordinates, batch_size=1, backend="compiled")
    set_rate(network, scan.whole(network), x, scan.SHARE)
    network = network.double()
    frame = data.read(0)
    expected = most_likely(PointSegmenter(network, VOXELS, views=2)(data.points(frame)))
    segmenter = PointSegmenter(network, VOXELS, views=2)
    segmenter.network = scan.EventSegmenter(network.eval())
    for stage in scan.stages(segmenter, data, tmp_path / "out").values():
        stage()
    written = np.fromfile(tmp_path / "out.label", dtype="<u4")
    raw = np.array([*data.raw_labels, 0])
    assert len(np.unique(expected)) > 2
    # In float64 no neuron lies at a tie.
    assert np.array_equal(written, raw[expected])
    cloud = read_points(Path(tmp_path / "out.ply"))
    assert np.array_equal(cloud.points[:, :3], frame.points[:, :3])
