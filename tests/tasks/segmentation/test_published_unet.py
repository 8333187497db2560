"""The segmentation U-Net against one written from the published equations on spconv.

Equality of a whole network with thresholds: float64 on both sides, spikes compared first and equal; every spike layer fires
at 5-50 %, so that silence cannot pass.
"""

import pytest
import torch
from support.spconv_network import reason_absent
from torch import nn

from oracles.unet_spconv import Network
from spikevox.encoding import VoxelGrid, collate, voxelize
from spikevox.layers import ILIF, FiringMonitor, native
from spikevox.layers.backbones import UNet
from spikevox.layers.backends import minkowski
from spikevox.tasks.datasets import HDL64, SUBURB, Street
from spikevox.tasks.segmentation import Segmenter

pytestmark = pytest.mark.skipif(bool(reason_absent()), reason=reason_absent())
PARAMETERS = {"base": 20_049_683, "small": 1_360_115}
THERE = {"minkowski": minkowski.available(), "compiled": native.available(), "torch_ops": True}


def random_cloud():
    """Two samples of unequal extents along the axes, none of which is a multiple of a stride."""
    generator = torch.Generator().manual_seed(0)
    columns = [torch.randint(0, size, (5000,), generator=generator) for size in (2, 45, 29, 19)]
    rows = torch.stack(columns, dim=1).unique(dim=0).int()
    return rows, torch.randn(len(rows), 4, generator=generator, dtype=torch.float64), 2


def street_scan():
    """A generated scan of a 64-beam LiDAR in the range and voxels that are published for SemanticKITTI; scaled to 1."""
    frame = Street(3, lidar=HDL64, style=SUBURB).frame(0)
    grid = VoxelGrid(0.05, lower=(-35.2, -35.2, -4), upper=(35.2, 35.2, 2), origin="minimum")
    batch = collate([voxelize(frame.points, grid, columns=frame.columns, features=("xyz", "intensity"))])
    features = batch.features.double()
    return batch.coordinates.int().contiguous(), features / features.abs().amax(dim=0), 1


def firing_network(size, coordinates, features, batch_size, backend):
    """Running statistics of the data, so that neurons fire at rates as in a trained network."""
    network = Segmenter(UNet(4, size=size, batch_norm_momentum=1.0), 19, backend=backend).double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            # Scales and biases as a training leaves them, not the ones and zeros that it starts from.
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    with torch.no_grad():
        network.train()(coordinates, features, batch_size=batch_size)
    return network.eval()


def ascending(sites, values):
    """Rows in the order of their sites."""
    order = torch.arange(len(sites))
    for column in (3, 2, 1, 0):
        order = order[sites[order, column].argsort(stable=True)]
    return sites[order], values[order]


CASES = {
    "small, random, torch_ops": ("small", random_cloud, "torch_ops"),
    "small, random, minkowski": ("small", random_cloud, "minkowski"),
    "small, random, compiled": ("small", random_cloud, "compiled"),
    "small, street, compiled": ("small", street_scan, "compiled"),
    "full, random, minkowski": ("base", random_cloud, "minkowski"),
    "full, random, compiled": ("base", random_cloud, "compiled"),
    "full, street, compiled": ("base", street_scan, "compiled"),
}


@pytest.mark.parametrize(("size", "cloud", "backend"), CASES.values(), ids=CASES)
def test_the_unet_is_the_published_one(size, cloud, backend):
    if not THERE[backend]:
        pytest.skip(f"the backend {backend!r} is not there")
    coordinates, features, batch_size = cloud()
    network = firing_network(size, coordinates, features, batch_size, backend)
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[size]
    spikes = []
    for neuron in (module for module in network.modules() if isinstance(module, ILIF)):
        neuron.register_forward_hook(
            lambda _module, _inputs, output: spikes.append((output.coordinates, output.features.to(torch.uint8)))
        )
    with torch.no_grad(), FiringMonitor(network) as monitor:
        logits = network(coordinates, features, batch_size=batch_size)
    weights = network.state_dict()
    oracle = Network(weights)
    expected = oracle(features, coordinates, batch_size)
    assert oracle.used == {name for name in weights if not name.endswith("num_batches_tracked")}
    assert len(spikes) == len(oracle.spikes)
    for ours, theirs in zip(spikes, oracle.spikes, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ascending(*ours), ascending(*theirs), strict=True))
    rates = [firing.nonzero for firing in monitor.summary().values()]
    assert len(rates) == len(spikes)
    assert min(rates) > 0.05
    assert max(rates) < 0.5
    # float64, and spikes that are equal: what is left is the order of sums.
    assert (logits - expected).abs().max() < 1e-12 * expected.abs().max()
