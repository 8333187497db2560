"""The simulator fires what the tensor path fires, and counts what loops over sites, offsets and channels count."""

import subprocess
import sys
from collections import deque

import numpy as np
import pytest
import torch
from torch import nn

from layers.deploy.networks import NETWORKS, cloud
from layers.networks import firing
from oracles import integer_loops
from spikevox.layers import (
    ILIF,
    BatchNorm,
    GraphError,
    Linear,
    SparseConv3d,
    SparseInverseConv3d,
    SparseTensor,
    SubmanifoldConv3d,
)
from spikevox.layers.deploy import load_events, load_pack, record_events, save_events, save_pack, simulate, to_integer
from spikevox.layers.deploy.event_list import EventList
from spikevox.layers.deploy.simulator import _deepest
from spikevox.layers.sparse_tensor import features_of


def recorded(network, x):
    result = network(x)
    return result, record_events(network.program, result.tables, result.sites, x.batch_size)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_spike_is_that_of_the_tensor_path(name):
    x = cloud()
    network = to_integer(firing(NETWORKS[name]().double(), x), [x])
    result, events = recorded(network, x)
    found = simulate(network.program, events)
    assert found.unequal == 0
    spikes = sum(
        int(t.astype(int).sum()) for t, k in zip(result.tables, network.program.tables, strict=True) if k.levels
    )
    assert found.compared == spikes > 1000
    assert sum(int(stream.value.astype(int).sum()) for stream in found.events if stream.levels) == spikes
    for one, other in zip(found.outputs, values(result.output), strict=True):
        assert np.array_equal(one, other)


def values(output):
    if isinstance(output, tuple):
        return [one for part in output for one in values(part)]
    return [features_of(output).numpy()]


class Random(nn.Module):
    """Kernels, strides, dilations and channels by chance; down, and up again to the sites of a skip."""

    def __init__(self, generator):
        super().__init__()

        def pick(low, high):
            return tuple(int(n) for n in generator.integers(low, high + 1, 3))

        def channels():
            return int(generator.integers(1, 7))

        a, b, c = channels(), channels(), channels()
        down, stride = pick(1, 3), pick(1, 2)
        options = {"kernel_size": down, "stride": stride, "dilation": pick(1, 2)}
        extent = (7, 8, 9) if generator.random() < 0.4 else None
        self.entry = nn.Sequential(SubmanifoldConv3d(2, a, kernel_size=pick(1, 3), bias=True), BatchNorm(a))
        self.down = SparseConv3d(a, b, sites=str(generator.choice(["covered", "stride"])), extent=extent, **options)
        self.up = SparseInverseConv3d(b, c, **options)
        self.fuse, self.fired = Linear(a + c, c), ILIF(int(generator.integers(1, 6)))

    def forward(self, x):
        a = self.entry(x)
        coarse = self.down(self.fired(a))
        fine = self.up(self.fired(coarse), a)
        joined = a.replace(torch.cat([self.fired(fine).features, self.fired(a).features], dim=1))
        return self.fuse(joined) + fine, coarse


@pytest.mark.parametrize("seed", [*range(12), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(12, 100))])
def test_random_networks_equal_loops_in_every_integer_and_every_count(seed, tmp_path):
    generator = np.random.default_rng(seed)
    rows = np.unique(generator.integers(0, [2, 6, 7, 5], (70, 4)) - [0, 1, 0, 0], axis=0)
    stride = int(generator.choice([1, 2]))
    features = torch.from_numpy(generator.normal(0, 2, (len(rows), 2)))
    rows = torch.from_numpy(rows * [1, stride, stride, stride])
    x = SparseTensor(features, rows, batch_size=3, tensor_stride=stride, backend="torch_ops")
    torch.manual_seed(seed)
    module = firing(Random(generator).double(), x)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    network = to_integer(module, [x])
    result, events = recorded(network, x)
    save_pack(network.program, tmp_path / "pack.npz")
    save_events(events, tmp_path / "events.bin")
    found = simulate(load_pack(tmp_path / "pack.npz"), load_events(tmp_path / "events.bin"))
    with np.load(tmp_path / "pack.npz") as pack:
        arrays = {name: pack[name] for name in pack}
    tables, outputs, additions, products = integer_loops.run(arrays, x.coordinates.numpy(), result.tables[0], 3)
    for number, table in enumerate(result.tables):
        expected = [tables[number][site] for site in sorted(tables[number])]
        np.testing.assert_array_equal(table, np.array(expected).reshape(table.shape))
    assert [layer.additions for layer in found.layers] == additions
    assert [layer.products for layer in found.layers] == products
    assert sum(additions) > 0
    assert found.unequal == 0
    for one, other in zip(found.outputs, outputs, strict=True):
        assert np.array_equal(one, other)


def test_counts_of_a_step_by_hand():
    """Two sites side by side, a kernel of three along x, one channel in, two out."""
    rows = torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0]])
    layers = nn.Sequential(
        SubmanifoldConv3d(1, 1, kernel_size=1), ILIF(4), SubmanifoldConv3d(1, 2, kernel_size=(3, 1, 1))
    )
    nn.init.constant_(layers[0].weight, 1.0)
    x = SparseTensor(torch.tensor([[3.0], [1.0]]), rows, batch_size=1, backend="torch_ops")
    network = to_integer(layers, [x])
    _, events = recorded(network, x)
    first, second = simulate(network.program, events).layers
    assert (first.products, first.additions, first.steps) == (2, 0, ())
    # Three spikes at one site, one at the other: each has itself and its neighbour for a target.
    assert [step.events for step in second.steps] == [2, 1, 1, 0]
    assert [step.lookups for step in second.steps] == [6, 3, 3, 0]
    assert [step.targets for step in second.steps] == [4, 2, 2, 0]
    assert [step.additions for step in second.steps] == [8, 4, 4, 0]
    # Both are there before the first is done, and none waits where one comes alone.
    assert [step.queue for step in second.steps] == [2, 1, 1, 0]
    assert (second.additions, second.products, second.weight_bytes, second.sum_bytes) == (16, 0, 16, 128)


def naive_queue(cycles):
    waiting, deepest, left = deque(), 0, 0
    for now in range(len(cycles) + sum(cycles) + 1):
        if left:
            left -= 1
            if not left:
                waiting.popleft()
        if now < len(cycles):
            waiting.append(cycles[now])
        if waiting and not left:
            left = waiting[0]
        deepest = max(deepest, len(waiting))
    return deepest


@pytest.mark.parametrize("seed", range(20))
def test_a_queue_is_as_deep_as_one_kept_cycle_by_cycle(seed):
    cycles = np.random.default_rng(seed).integers(1, 1 + seed // 2 + 1, 40)
    assert _deepest(cycles) == naive_queue(cycles.tolist())


def test_spikes_that_differ_are_counted():
    x = cloud()
    network = to_integer(firing(NETWORKS["encoder"]().double(), x), [x])
    _, events = recorded(network, x)
    values = events.streams[3].value.copy()
    values[[5, 9]] = values[[5, 9]] % 4 + 1
    streams = list(events.streams)
    streams[3] = streams[3]._replace(value=values)
    assert simulate(network.program, EventList(4, events.sites, tuple(streams))).unequal == 2


def test_lists_of_other_networks_are_errors():
    x, other = cloud(), cloud(channels=2)
    network = to_integer(firing(NETWORKS["encoder"]().double(), x), [x])
    one = to_integer(SubmanifoldConv3d(2, 4).double(), [other])
    _, events = recorded(one, other)
    with pytest.raises(GraphError, match=r"takes 3 channels at tensor stride .*, the event list has 2"):
        simulate(network.program, events)
    with pytest.raises(GraphError, match="holds no input"):
        simulate(network.program, EventList(4, events.sites, ()))
    _, events = recorded(network, x)
    moved = events.sites[1]._replace(coordinates=events.sites[1].coordinates[1:])
    with pytest.raises(GraphError, match="sites 1 of the event list are not those"):
        simulate(network.program, EventList(4, (events.sites[0], moved, *events.sites[2:]), events.streams))


SCRIPT = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "MinkowskiEngine", "mmengine", "scipy"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Block())
from spikevox.layers.deploy import load_events, load_pack, simulate
found = simulate(load_pack(sys.argv[1]), load_events(sys.argv[2]))
assert "torch" not in sys.modules
print(found.unequal, found.compared, sum(layer.additions for layer in found.layers))
"""


def test_it_runs_where_torch_is_not(tmp_path):
    x = cloud()
    network = to_integer(firing(NETWORKS["encoder"]().double(), x), [x])
    _, events = recorded(network, x)
    save_pack(network.program, tmp_path / "pack.npz")
    save_events(events, tmp_path / "events.bin")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "pack.npz"), str(tmp_path / "events.bin")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = simulate(network.program, events)
    assert done.stdout.split() == [
        "0", str(found.compared), str(sum(layer.additions for layer in found.layers))
    ]  # fmt: skip
