"""The opponents of the benchmarks compute what our networks compute, plain and folded."""

import numpy as np
import pytest
import torch
from support.comparison import TOLERANCE, agreement, layer_difference
from support.firing import levels, proportions, set_rate
from support.minkowski_network import MinkowskiNetwork
from support.spconv_network import SpconvNetwork, reason_absent
from torch import nn

from spikevox.encoding import VoxelBatch
from spikevox.layers import GlobalMeanPool, Linear, SparseTensor, event
from spikevox.layers.backbones import Encoder, UNet, Voxel8x
from spikevox.layers.backends import minkowski
from spikevox.layers.graph import record

pytestmark = pytest.mark.compiled
PEERS = [
    pytest.param(
        MinkowskiNetwork,
        marks=pytest.mark.skipif(not minkowski.available(), reason="MinkowskiEngine is not installed"),
    ),
    pytest.param(SpconvNetwork, marks=pytest.mark.skipif(bool(reason_absent()), reason=reason_absent())),
]
NETWORKS = {
    "classifier": lambda: nn.Sequential(Encoder("T", 3, width=0.5), Linear(64, 10), GlobalMeanPool()),
    "u-net": lambda: nn.Sequential(UNet(3, size="small"), Linear(64, 19)),
    "detection backbone": lambda: Voxel8x(3, size="small", grid=(25, 25, 41)),
}


def batch(lowest=0):
    generator = np.random.default_rng(0)
    rows = np.unique(generator.integers(0, [2, 24, 24, 38], (9000, 4)), axis=0)
    rows[:, 1:] += lowest
    coordinates = torch.from_numpy(rows).int().contiguous()
    return VoxelBatch(coordinates, torch.rand(len(rows), 3), None, 2, None)


def prepared_network(name, given):
    network = NETWORKS[name]()
    x = SparseTensor(given.features, given.coordinates, batch_size=2, backend="compiled")
    set_rate(network, network, x, 0.15)
    return network, x


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_is_our_network(peer, name):
    # Sites below zero are moved for spconv.
    given = batch() if name == "detection backbone" else batch(lowest=-7)
    network, _ = prepared_network(name, given)
    graph, engine = record(network), event.compile(network)
    sites = engine.sites(given.coordinates, 2)
    for fold in (False, True):
        opponent = peer(graph, fold=fold)
        ready = opponent.prepare(given, sites)
        with torch.inference_mode():
            values = opponent(ready, given.features, keep=True)
            last = opponent(ready, given.features)[-1]
            if not fold:
                assert layer_difference(opponent, ready, values) < TOLERANCE
            # A neuron at a tie may fire or not with the order of a sum; most of the results are not touched by one.
            assert agreement(engine, graph, opponent, ready, values, given) > 0.9
            kept, released = (opponent.table(v, graph.nodes[-1].sites, ready)[1] for v in (values[-1], last))
            assert torch.equal(kept, released)


def test_every_neuron_fires_at_the_rate_that_was_set():
    network, x = prepared_network("detection backbone", batch())
    found = levels(network, network, x)
    assert all(sum(values) == pytest.approx(1) for values in found.values())
    assert all(1 - values[0] == pytest.approx(0.15, abs=0.02) for values in found.values())
    assert sum(proportions(found)) == pytest.approx(1)
