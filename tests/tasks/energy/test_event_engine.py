"""Products whose input is not 0 are the additions that the event engine counts itself, layer by layer, on trained networks."""

from pathlib import Path

import pytest

from spikevox.encoding import collate
from spikevox.layers import SparseTensor, event
from spikevox.layers.energy import count_operations
from spikevox.tasks import load_predictor
from spikevox.tasks.build import build
from spikevox.tasks.config import load_config
from spikevox.tasks.datasets import ModelNet
from spikevox.tasks.predictor import load_described

APPS = Path(__file__).resolve().parents[3] / "apps"
pytestmark = pytest.mark.compiled


def same_work(network, call, batch):
    # float64, so that no spike hangs on the order of a sum.
    network = network.double()
    x = SparseTensor(batch.features.double(), batch.coordinates, batch_size=batch.batch_size, backend="compiled")
    counted = {layer.name: layer for layer in count_operations(network, x, call=call).weighted()}
    work = {item.name.split(" ")[0]: item.additions for item in event.compile(network, call=call)(x).work}
    assert set(counted) <= set(work)
    for name, layer in counted.items():
        # Of values the engine counts all products.
        assert work[name] == (layer.event_macs if layer.reads == "spikes" else layer.macs), name
        assert 0 < layer.acs < layer.macs or layer.reads == "reals"
    return counted


def test_shapes_of_modelnet10(data):
    predictor = load_predictor(APPS / "modelnet" / "weights" / "classify_t.safetensors")
    split = ModelNet("test", data_root=data("modelnet10"), grid={"voxel_size": 0.05})
    batch = collate([predictor.voxelize(split.read(i)[0]) for i in range(0, len(split), 30)])
    assert len(same_work(predictor.network, predictor.network.logits, batch)) == 20


@pytest.mark.slow
def test_a_generated_street():
    network, _ = load_described(APPS / "synthetic" / "weights" / "segment.safetensors")
    dataset = build(load_config(APPS / "synthetic" / "segment.py")["test_dataloader"]["dataset"])
    voxels = dataset.cloud(0).voxels
    same_work(network.eval(), lambda x: network.head(network.backbone(x)), collate([voxels]))
