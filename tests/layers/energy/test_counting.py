"""Operations equal, exactly, those that nested loops count on random networks."""

from collections import Counter
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from oracles.count_loops import Counting
from oracles.random_networks import random_network
from spikevox.layers import (
    ILIF,
    BatchNorm,
    GlobalMeanPool,
    Linear,
    MaxPool3d,
    SparseConv3d,
    SparseInverseConv3d,
    SparseTensor,
    SubmanifoldConv3d,
    concatenate,
)
from spikevox.layers.energy import count_operations
from spikevox.layers.neurons.rectified import ReLU

NETWORKS = 100
COUNTED = (
    *("pairs", "macs", "event_macs", "acs", "values", "events", "spikes"),
    *("additions", "multiplications", "membrane_updates", "state_updates"),
)


def convolution(kind, step):
    options = {"kernel_size": step["kernel"], "dilation": step["dilation"], "groups": step["groups"]}
    if kind is not SubmanifoldConv3d:
        options |= {"stride": step["stride"], "padding": step["padding"]}
    out = len(step["weight"][0][0])
    return filled(kind(step["in_channels"], out, bias=step["bias"] is not None, **options), step, step["weight"])


def filled(layer, step, weight):
    layer.weight.data = torch.tensor(weight, dtype=torch.float64)
    if step["bias"] is not None:
        layer.bias.data = torch.tensor(step["bias"], dtype=torch.float64)
    return layer


def norm(step):
    factor = torch.tensor(step["factor"], dtype=torch.float64)
    layer = BatchNorm(len(factor), eps=0.0)
    # 1 / sqrt(4) is exact.
    layer.running_var = torch.full_like(factor, 4.0)
    layer.running_mean = torch.zeros_like(factor)
    layer.weight.data, layer.bias.data = 2 * factor, torch.tensor(step["shift"], dtype=torch.float64)
    return layer


MAKE = {
    "submanifold": lambda step: convolution(SubmanifoldConv3d, step),
    "strided": lambda step: convolution(SparseConv3d, step),
    "inverse": lambda step: convolution(SparseInverseConv3d, step),
    "linear": lambda step: filled(
        Linear(step["in_channels"], len(step["weight"][0][0]), bias=step["bias"] is not None),
        step,
        np.array(step["weight"][0]).T.tolist(),
    ),
    "norm": norm,
    "neuron": lambda step: ILIF(step["levels"]),
    "relu": lambda step: ReLU(),
    "max_pool": lambda step: MaxPool3d(2),
    "mean": lambda step: GlobalMeanPool(),
}


class Described(nn.Module):
    def __init__(self, description):
        super().__init__()
        self.steps = [step["op"] for step in description]
        self.layers = nn.ModuleList(
            MAKE[step["op"]](step) if step["op"] in MAKE else nn.Identity() for step in description
        )

    def forward(self, x):
        saved, finer = [], []
        for op, layer in zip(self.steps, self.layers, strict=True):
            if op in ("strided", "max_pool"):
                finer.append(x)
            if op == "save":
                saved.append(x)
            elif op == "add":
                x = x + saved.pop()
            elif op == "concatenate":
                x = concatenate(x, saved.pop())
            else:
                x = layer(x, finer.pop()) if op == "inverse" else layer(x)
        return x


@cache
def counted(seed):
    sites, features, samples, description = random_network(seed)
    network = Described(description).double()
    steps = len(features)
    x = SparseTensor(
        torch.from_numpy(features if steps > 1 else features[0]),
        torch.from_numpy(sites),
        batch_size=samples,
        time_steps=steps if steps > 1 else None,
        backend=("torch_ops", "auto")[seed % 2],
    )
    ours = count_operations(network, x)
    oracle = Counting([tuple(site) for site in sites.tolist()], features.tolist())
    return ours, oracle.run(description), oracle.values


@pytest.mark.parametrize("seed", range(NETWORKS))
def test_counts_equal_nested_loops(seed):
    ours, loops, _ = counted(seed)
    assert len(ours.layers) == len(loops)
    for layer, wanted in zip(ours.layers, loops, strict=True):
        found = {name: getattr(layer, name) for name in COUNTED}
        assert found == {name: wanted[name] for name in COUNTED}, layer
        assert layer.reads == (wanted["reads"] or "")
        if layer.kind == "neuron":
            assert list(layer.levels) == wanted["levels"]


def test_the_random_networks_hold_what_can_go_wrong():
    seen = Counter()
    for seed in range(NETWORKS):
        ours, _, _ = counted(seed)
        for layer in ours.layers:
            seen[layer.kind, layer.reads] += 1
            seen["spikes"] += layer.acs > layer.event_macs > 0
            seen["groups"] += layer.groups > 1
            seen["folded"] += layer.folded
            seen["not folded"] += layer.kind == "normalisation" and not layer.folded
            seen["state"] += layer.state_updates > 0
            # Spikes of several levels and zeros among them, neither all nor none.
            seen["some fire"] += layer.kind == "neuron" and 0.05 < layer.events / layer.values < 0.95
    assert min(seen[key] for key in ("groups", "folded", "not folded", "state")) >= 10, seen
    assert min(seen["spikes"], seen["some fire"], seen["convolution", "spikes"], seen["linear", "spikes"]) >= 100, seen
    assert min(seen["convolution", "reals"], seen["pool", ""], seen["sum", ""]) >= 30, seen
