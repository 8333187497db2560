"""NIR graphs: round trips give the same network, plain ones run in another tool with the same spikes."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from layers.deploy.networks import NETWORKS, cloud, outputs_of
from layers.networks import firing
from spikevox.layers import (
    ILIF,
    LIF,
    PLIF,
    PSN,
    BatchNorm,
    GlobalMaxPool,
    GraphError,
    Linear,
    Neuron,
    ReLU,
    SparseConv3d,
    SparseInverseConv3d,
    SubmanifoldConv3d,
    concatenate,
)
from spikevox.layers.errors import DeployFileError
from spikevox.layers.sparse_tensor import features_of

nir = pytest.importorskip("nir", reason="nir is not installed: pip install spikevox-layers[nir]")
from spikevox.layers.deploy import from_nir, read_nir, to_nir, write_nir  # noqa: E402


def assert_same_graph(one, other):
    assert list(one.nodes) == list(other.nodes)
    assert list(one.edges) == list(other.edges)
    for name, node in one.nodes.items():
        fields, others = node.to_dict(), other.nodes[name].to_dict()
        assert fields.keys() == others.keys()
        for key, value in fields.items():
            if isinstance(value, np.ndarray):
                assert value.dtype == others[key].dtype
            np.testing.assert_array_equal(value, others[key], err_msg=f"{name}.{key}")


def round_trip(network, path, **options):
    graph = to_nir(network, **options)
    write_nir(graph, path)
    read = read_nir(path)
    # Nodes of a file come in the order of their names.
    names = sorted(graph.nodes)
    assert sorted(read.nodes) == names
    graph.nodes = {name: graph.nodes[name] for name in names}
    read.nodes = {name: read.nodes[name] for name in names}
    assert_same_graph(graph, read)
    return graph, from_nir(read)


def found_values(output):
    if isinstance(output, dict):
        return {name: features_of(value) for name, value in output.items()}
    return {"output": features_of(output)}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_comes_back_with_the_same_spikes(name, tmp_path):
    x = cloud()
    network = firing(NETWORKS[name]().double(), x)
    _, read = round_trip(network, tmp_path / "network.nir")
    fired, expected = outputs_of(network, Neuron, x)
    refired, found = outputs_of(read, Neuron, x)
    spikes = [one for calls in fired.values() for one in calls]
    respikes = [one for calls in refired.values() for one in calls]
    assert len(spikes) == len(respikes)
    assert all(torch.equal(one, other) for one, other in zip(spikes, respikes, strict=True))
    wanted = {"output": expected} if not hasattr(expected, "membranes") else {
        "output_spikes": expected.spikes, **{f"output_membranes_{i}": one for i, one in enumerate(expected.membranes)}
    }  # fmt: skip
    values = found_values(found)
    assert values.keys() == wanted.keys()
    for key, value in wanted.items():
        torch.testing.assert_close(values[key], features_of(value), rtol=1e-10, atol=1e-10)


class OfAUsersOwn(nn.Module):
    def __init__(self):
        super().__init__()
        self.entry, self.norm = SubmanifoldConv3d(4, 8, groups=2, kernel_size=(3, 1, 2), bias=True), BatchNorm(8)
        self.spike, self.soft, self.hard = ILIF(3), LIF(threshold=0.4), PLIF(decay=0.25, reset="hard")
        self.down = SparseConv3d(16, 6, kernel_size=3, stride=(2, 2, 1), dilation=2, extent=(5, 6, 7))
        self.rounded = SparseConv3d(6, 6, kernel_size=2, stride=2, sites="stride")
        self.up = SparseInverseConv3d(6, 8, kernel_size=3, stride=(2, 2, 1), dilation=2)
        self.after = BatchNorm(8)
        self.head, self.most = Linear(6, 5, bias=False), GlobalMaxPool()

    def forward(self, x):
        a = self.norm(self.entry(x))
        joined = concatenate(self.soft(a), self.hard(a))
        coarse = self.down(joined)
        back = self.after(self.up(self.spike(coarse), a) + a)
        return self.most(self.head(self.rounded(self.spike(coarse)))), back


def test_what_users_build_comes_back(tmp_path):
    x = cloud(channels=4)
    network = firing(OfAUsersOwn().double(), x)
    graph, read = round_trip(network, tmp_path / "own.nir")
    assert {type(node).__name__ for node in graph.nodes.values()} == {
        "Input", "Output", "Scale", "Linear", "LIF", "SpikevoxConvolution", "SpikevoxILIF", "SpikevoxLIF",
        "SpikevoxNormalisation", "SpikevoxConcatenation", "SpikevoxGlobalPool",
    }  # fmt: skip
    with torch.no_grad():
        expected, found = network(x), read(x)
    torch.testing.assert_close(found["output_0"], expected[0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found["output_1"].features, expected[1].features, rtol=1e-10, atol=1e-10)


def plain_network(**options):
    network = nn.Sequential(
        Linear(3, 20), BatchNorm(20), LIF(decay=0.5, reset="hard", **options), Linear(20, 12, bias=False),
        LIF(decay=0.9, threshold=0.8, reset="hard", **options),
    )  # fmt: skip
    for layer in (network[0], network[3]):
        nn.init.normal_(layer.weight)
    nn.init.uniform_(network[1].running_mean, -0.5, 0.5)
    nn.init.uniform_(network[1].running_var, 0.5, 2)
    return network.eval()


def test_networks_that_need_nothing_else_are_plain_nir(tmp_path):
    network = plain_network(time_steps=30)
    graph = to_nir(network)
    assert [type(node).__module__.partition(".")[0] for node in graph.nodes.values()] == ["nir"] * 6
    assert network[2].time_steps == 30
    write_nir(graph, tmp_path / "plain.nir")
    # NIR's own reader takes it.
    read = nir.read(str(tmp_path / "plain.nir"))
    x = torch.randn(30, 4, 3)
    spikes, expected = network(x), from_nir(read, time_steps=30)(x)
    assert torch.equal(spikes, expected)
    assert 0.05 < spikes.mean() < 0.5


def test_snntorch_reads_a_plain_graph_and_fires_the_same_spikes(tmp_path, capsys):
    importer = pytest.importorskip("snntorch.import_nir", reason="snntorch is not installed")
    network = plain_network(time_steps=30)
    write_nir(to_nir(network), tmp_path / "plain.nir")
    other = importer.import_from_nir(nir.read(str(tmp_path / "plain.nir")))
    x = torch.randn(30, 4, 3)
    state, spikes = None, []
    with torch.no_grad():
        for step in x:
            fired, state = other(step, state)
            spikes.append(fired)
        expected = network(x)
    assert torch.equal(torch.stack(spikes), expected)
    assert 0.05 < expected.mean() < 0.5


def test_the_equation_of_a_neuron_is_nirs():
    """An Euler step of tau dv/dt = (v_leak - v) + r i of 0.1 ms is ours."""
    node = to_nir(nn.Sequential(Linear(2, 2), LIF(decay=0.75, threshold=0.6, reset="hard"))).nodes["1"]
    v, current = np.array([0.3, -0.2]), np.array([0.5, 0.1])
    step = v + 1e-4 / node.tau * (node.v_leak - v + node.r * current)
    np.testing.assert_allclose(step, 0.75 * v + current, rtol=1e-12)
    np.testing.assert_array_equal(node.v_threshold, [0.6, 0.6])


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = Linear(3, 3)

    def forward(self, x):
        y = self.layer(x)
        return y + y


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (nn.Sequential(Linear(3, 3), PSN(1)), "1 (PSN): neither NIR nor spikevox has a node"),
        (nn.Sequential(Linear(3, 3), ReLU()), "1 (ReLU): neither NIR nor spikevox has a node"),
        (Twice(), "NIR has no sum of a tensor with itself"),
    ],
)
def test_layers_without_a_node_are_named(network, text):
    with pytest.raises(GraphError, match=re.escape(text)):
        to_nir(network)


def test_graphs_that_cannot_be_run_are_named():
    ones = np.ones(2)
    leaky = nir.LIF(tau=ones, r=ones, v_leak=ones, v_threshold=ones, v_reset=0 * ones)
    for node, text in ((leaky, "no leak potential"), (nir.LI(tau=ones, r=ones, v_leak=ones), "no layer for NIR's LI")):
        with pytest.raises(GraphError, match=text):
            from_nir(nir.NIRGraph.from_list(nir.Linear(np.ones((2, 2))), node))
    loop = nir.NIRGraph.from_list(nir.Linear(np.ones((2, 2))), nir.Scale(ones))
    loop.edges.append(("scale", "linear"))
    with pytest.raises(GraphError, match="recurrent at linear"):
        from_nir(loop)


def test_damaged_files_are_told(tmp_path):
    path = tmp_path / "network.nir"
    write_nir(to_nir(plain_network()), path)
    content = path.read_bytes()
    for length in (0, 100, len(content) // 2):
        path.write_bytes(content[:length])
        with pytest.raises(DeployFileError, match=re.escape(f"{path}: no NIR graph")):
            read_nir(path)
    with pytest.raises(FileNotFoundError):
        read_nir(tmp_path / "absent.nir")
