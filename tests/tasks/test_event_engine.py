"""The shipped classifier, run on its spikes alone, says what the network says on real shapes."""

from pathlib import Path

import pytest
import torch

from spikevox.encoding import collate
from spikevox.layers import SparseTensor, event
from spikevox.tasks import load_predictor
from spikevox.tasks.datasets import ModelNet

WEIGHTS = Path(__file__).resolve().parents[2] / "apps" / "modelnet" / "weights" / "classify_t.safetensors"
pytestmark = pytest.mark.compiled


@pytest.fixture
def shapes(data):
    predictor = load_predictor(WEIGHTS)
    split = ModelNet("test", data_root=data("modelnet10"), grid={"voxel_size": 0.05})
    clouds = [split.read(i)[0] for i in range(0, len(split), 15)]
    return predictor, collate([predictor.voxelize(cloud) for cloud in clouds])


def test_logits_are_the_networks(shapes):
    predictor, batch = shapes
    network = predictor.network.double()
    x = SparseTensor(batch.features.double(), batch.coordinates, batch_size=batch.batch_size, backend="torch_ops")
    with torch.inference_mode():
        expected = network.logits(x)
    result = event.compile(network, call=network.logits)(x)
    torch.testing.assert_close(result.output, expected, rtol=1e-9, atol=1e-9)
    assert 0 < result.additions < sum(len(batch.coordinates) * 27 * 128 * 128 for _ in result.work)


def test_labels_are_the_networks_in_single_precision(shapes):
    predictor, batch = shapes
    network = predictor.network
    x = SparseTensor(batch.features, batch.coordinates, batch_size=batch.batch_size)
    with torch.inference_mode():
        expected = network.logits(x).argmax(dim=1)
    found = event.compile(network, call=network.logits)(x).output.argmax(dim=1)
    # A neuron at a tie may fire or not with the order of a sum, and change the label of a shape between two classes.
    assert (found != expected).sum() <= 1
