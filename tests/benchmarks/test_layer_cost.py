"""Costs of single layers are those of the network that they come from."""

import numpy as np
import pytest
import torch
from support.firing import set_rate
from support.layer_cost import layer_costs

from spikevox.encoding import VoxelBatch
from spikevox.layers import SparseTensor, event
from spikevox.layers.backbones import Voxel8x
from spikevox.layers.graph import record

pytestmark = pytest.mark.compiled


def test_layers_by_themselves_make_the_additions_of_the_network():
    rows = np.unique(np.random.default_rng(0).integers(0, [2, 16, 16, 38], (4000, 4)), axis=0)
    coordinates, features = torch.from_numpy(rows).int(), torch.rand(len(rows), 3)
    network = Voxel8x(3, size="small", grid=(16, 16, 41))
    set_rate(network, network, SparseTensor(features, coordinates, batch_size=2, backend="compiled"), 0.15)
    costs = layer_costs(record(network), VoxelBatch(coordinates, features, None, 2, None), rounds=1)
    work = event.compile(network).run(coordinates, features, 2).work
    assert [(cost.name, cost.additions) for cost in costs] == [tuple(layer) for layer in work]
    for cost in costs:
        # Each pair adds at most a row of weights for each input channel; none of them fires as often.
        assert 0 < cost.additions <= cost.pairs * cost.channels[0] * cost.channels[1]
        assert cost.milliseconds > 0
    assert costs[0].additions == costs[0].pairs * 3 * costs[0].channels[1]
    # The last layer reads membranes, as the first one reads the input.
    assert all(cost.gflops < cost.dense_gflops / 2 for cost in costs[1:-1])
