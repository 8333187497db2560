"""A recorded forward pass names every layer, sum and concatenation, and refuses what it cannot name."""

import pytest
import torch
from torch import nn

from spikevox.layers import (
    ILIF,
    BatchNorm,
    GlobalMeanPool,
    GraphError,
    Linear,
    MaxPool3d,
    SparseConv3d,
    SparseInverseConv3d,
    SparseTensor,
    SubmanifoldConv3d,
    concatenate,
    union,
)
from spikevox.layers.backbones import Encoder, UNet, Voxel8x
from spikevox.layers.graph import SAMPLES, Output, record


class Branching(nn.Module):
    """A user's own class: a branch, a sum, channels side by side, and a way back to the fine sites."""

    def __init__(self):
        super().__init__()
        self.entry = SubmanifoldConv3d(2, 4, kernel_size=3)
        self.spike = ILIF()
        self.down = SparseConv3d(4, 8, kernel_size=3, stride=2)
        self.up = SparseInverseConv3d(8, 4, kernel_size=3, stride=2)
        self.head = Linear(8, 3)

    def forward(self, x):
        fine = self.entry(x)
        back = self.up(self.spike(self.down(self.spike(fine))))
        joined = self.head(concatenate(fine + back, back))
        return {"logits": joined, "levels": [fine, back]}


def test_nodes_stand_in_the_order_in_which_they_ran():
    graph = record(Branching())
    assert [node.kind for node in graph.nodes] == ["input", *["layer"] * 5, "add", "concatenate", "layer"]
    assert [node.inputs for node in graph.nodes] == [(), (0,), (1,), (2,), (3,), (4,), (1, 5), (6, 5), (7,)]
    assert [node.channels for node in graph.nodes] == [2, 4, 4, 8, 8, 4, 4, 8, 3]
    assert [node.sites for node in graph.nodes] == [0, 0, 0, 1, 1, 0, 0, 0, 0]
    assert graph.nodes[3].name == "down (SparseConv3d)"
    assert graph.nodes[6].name == "Branching"
    assert graph.result == {"logits": Output(8), "levels": [Output(1), Output(5)]}


def test_sites_tell_how_they_come_about():
    graph = record(Voxel8x(4, size="small", grid=(1408, 1600, 41)))
    assert [origin.parent for origin in graph.sites] == [None, 0, 1, 2, 3]
    assert [origin.tensor_stride for origin in graph.sites] == [
        (1, 1, 1), (2, 2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 16),
    ]  # fmt: skip
    assert [origin.extent for origin in graph.sites] == [
        None, (1408, 1600, 41), (704, 800, 21), (352, 400, 11), (176, 200, 6),
    ]  # fmt: skip
    assert all(origin.floor for origin in record(Encoder("T", 3)).sites[1:])


def test_two_convolutions_share_sites_only_where_they_must():
    class Downs(nn.Module):
        def __init__(self, **options):
            super().__init__()
            self.first = SparseConv3d(2, 2, kernel_size=2, stride=2)
            self.second = SparseConv3d(2, 2, **options)

        def forward(self, x):
            return self.first(x), self.second(x)

    assert len(record(Downs(kernel_size=2, stride=2)).sites) == 2
    assert len(record(Downs(kernel_size=3, stride=2, sites="stride")).sites) == 2
    # On a few sites the two sets may be equal, in general they are not.
    assert len(record(Downs(kernel_size=3, stride=2)).sites) == 3
    assert len(record(Downs(kernel_size=2, stride=2, extent=(4, 4, 4))).sites) == 3


def test_every_neuron_and_norm_of_the_backbones_is_there():
    for network in (Encoder("S", 4), UNet(4), Voxel8x(4)):
        graph = record(network)
        found = {id(node.module) for node in graph.nodes}
        for kind in (ILIF, BatchNorm, SubmanifoldConv3d, SparseConv3d, SparseInverseConv3d, Linear):
            assert all(id(module) in found for module in network.modules() if isinstance(module, kind))


def test_a_pool_over_samples_ends_the_sites():
    graph = record(nn.Sequential(SubmanifoldConv3d(2, 4), GlobalMeanPool(), Linear(4, 3)))
    assert [node.sites for node in graph.nodes] == [0, 0, SAMPLES, SAMPLES]


def test_recording_leaves_the_network_as_it_was():
    network = Encoder("T", 3)
    network.stem.eval()
    modes = [module.training for module in network.modules()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    record(network)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


class Own(nn.Module):
    def __init__(self, work):
        super().__init__()
        self.conv = SubmanifoldConv3d(2, 2)
        self.work = work

    def forward(self, x):
        return self.work(self.conv(x))


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda x: x.replace(torch.tanh(x.features)), r"^inner \(Own\): its forward pass calls torch's tanh"),
        (lambda x: x.replace(2 * x.features), r"inner \(Own\).*calls torch's"),
        (lambda x: x.replace(x.features[:, :1]), r"inner \(Own\).*calls torch's __getitem__"),
        (lambda x: [x, x.replace(x.features)][int(x.features.sum() > 0)], r"inner \(Own\).*calls torch's sum"),
        (lambda x: union(x, x.replace(x.features.float())), r"inner \(Own\).*calls torch's float"),
        (lambda x: x.replace(torch.add(x.features, x.features, alpha=2)), r"inner \(Own\).*calls torch's add"),
        (lambda x: x.replace(torch.ones(len(x), 2)), "returns a tensor that does not come from recorded layers"),
        (lambda x: 7, "returns a int; tensors"),
    ],
)
def test_what_cannot_be_recorded_is_named(work, message):
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Own(work)

        def forward(self, x):
            return self.inner(x)

    network = Outer()
    with pytest.raises(GraphError, match=message):
        record(network)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_the_way_back_must_be_known():
    lost = nn.Sequential(SparseConv3d(2, 2, kernel_size=2, stride=2), MaxPool3d(2))

    class Up(nn.Module):
        def __init__(self):
            super().__init__()
            self.down = lost
            self.up = SparseInverseConv3d(2, 2, kernel_size=2, stride=2)

        def forward(self, x):
            return self.up(self.down(x), like=self.down[0](x))

    graph = record(Up())
    assert [node.sites for node in graph.nodes] == [0, 1, 2, 1, 1]


def test_an_example_stands_for_the_input():
    with pytest.raises(GraphError, match="give an example input"):
        record(nn.Sequential(ILIF()))
    x = SparseTensor(torch.ones(1, 5), torch.zeros(1, 4, dtype=torch.int32), tensor_stride=2, backend="torch_ops")
    graph = record(nn.Sequential(ILIF()), example=x)
    assert graph.nodes[0].channels == 5
    assert graph.sites[0].tensor_stride == (2, 2, 2)
    steps = SparseTensor(torch.ones(3, 1, 5), torch.zeros(1, 4, dtype=torch.int32), time_steps=3, backend="torch_ops")
    with pytest.raises(GraphError, match="time axis"):
        record(nn.Sequential(ILIF()), example=steps)
