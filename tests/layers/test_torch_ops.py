"""The engine in plain torch: what the host reads, and that it adds in one order."""

import numpy as np
import pytest
import torch
from torch import nn

from oracles.dense_conv import find_matches
from oracles.host_reads import HostReads
from oracles.random_cases import default_padding
from spikevox.layers import (
    AveragePool3d,
    GlobalMeanPool,
    Linear,
    MaxPool3d,
    SparseConv3d,
    SparseInverseConv3d,
    SparseTensor,
    SubmanifoldConv3d,
)
from spikevox.layers.backbones import Encoder, UNet

LAYERS = {
    "submanifold": lambda: SubmanifoldConv3d(4, 6, bias=True),
    "kernel of one": lambda: SubmanifoldConv3d(4, 6, kernel_size=1),
    "groups": lambda: SubmanifoldConv3d(4, 6, groups=2, dilation=2),
    "tiling": lambda: SparseConv3d(4, 6, kernel_size=2, stride=2),
    "overlapping": lambda: SparseConv3d(4, 6, kernel_size=3, stride=2),
    "inverse": lambda: nn.Sequential(
        SparseConv3d(4, 5, kernel_size=3, stride=2), SparseInverseConv3d(5, 6, kernel_size=3, stride=2)
    ),
    "pools": lambda: nn.Sequential(MaxPool3d(3, stride=2), AveragePool3d(2), GlobalMeanPool()),
}


def cloud(count=200, samples=3, seed=0):
    """Rows (sample, x, y, z), unique and ascending."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.cat(
        [
            torch.randint(0, samples, (count, 1), generator=generator),
            torch.randint(-6, 7, (count, 3), generator=generator),
        ],
        dim=1,
    )
    return torch.unique(rows, dim=0)


def tensor(rows, channels=4, **options):
    features = torch.randn(len(rows), channels, generator=torch.Generator().manual_seed(1))
    return SparseTensor(features, rows, batch_size=3, backend="torch_ops", **options)


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (lambda v: v.sum().item(), "_local_scalar_dense"),
        (lambda v: bool(v.sum() > 0), "_local_scalar_dense"),
        (lambda v: v.tolist(), "tolist"),
        (lambda v: v[v > 0], "index by a mask"),
        (lambda v: v.nonzero(), "nonzero"),
        (lambda v: torch.unique(v), "_unique2"),
        (lambda v: torch.equal(v, v + 0), "equal"),
        (lambda v: torch.tensor([1.0], device=v.device), "tensor"),
    ],
)
def test_reads_are_seen_in_forward_and_backward(read, name):
    """The tests below count with this."""

    class Reading(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value * 2

        @staticmethod
        def backward(ctx, grad):
            read(grad)
            return grad

    value = torch.ones(3, requires_grad=True)
    with HostReads() as reads:
        read(value.detach())
    assert reads == [name]
    with HostReads() as reads:
        Reading.apply(value).sum().backward()
    assert reads == [name]


@pytest.mark.parametrize("time_steps", [None, 2])
@pytest.mark.parametrize("name", LAYERS)
def test_over_maps_that_are_there_nothing_is_read(name, time_steps):
    rows = cloud()
    features = torch.randn(*([2] if time_steps else []), len(rows), 4, requires_grad=True)
    x = SparseTensor(features, rows, batch_size=3, backend="torch_ops", time_steps=time_steps)
    layer = LAYERS[name]()
    layer(x)
    with HostReads() as reads:
        result = layer(x)
        (result if isinstance(result, torch.Tensor) else result.features).square().sum().backward()
    assert reads == []
    assert features.grad.abs().sum() > 0


@pytest.mark.parametrize("build", [lambda: Encoder("T", 4), lambda: UNet(4, size="small")], ids=["encoder", "unet"])
def test_a_training_step_over_maps_that_are_there_reads_nothing(build):
    backbone = build()
    network = nn.Sequential(backbone, Linear(backbone.out_channels, 5), GlobalMeanPool()).train()
    x, labels = tensor(cloud()), torch.tensor([0, 3, 4])
    network(x)
    with HostReads() as reads:
        nn.functional.cross_entropy(network(x), labels).backward()
        assert x.empty_samples.shape == (3,)
    assert reads == []


def test_a_tensor_reads_finite_box_and_order_and_duplicates_where_out_of_order():
    rows = cloud()
    order = torch.randperm(len(rows))
    for given, options, count in (
        (rows, {}, 3),
        (rows[order], {}, 4),
        (rows * torch.tensor([1, 2, 2, 2]), {"tensor_stride": 2}, 4),
    ):
        with HostReads() as reads:
            tensor(given, **options)
        assert len(reads) == count, reads


@pytest.mark.parametrize(
    ("layer", "sites"),
    [
        (SubmanifoldConv3d(4, 4), []),
        (SparseConv3d(4, 4, kernel_size=2, stride=2), ["_unique2"]),
        (SparseConv3d(4, 4, kernel_size=3), ["_unique2", "equal"]),
        (SparseConv3d(4, 4, kernel_size=3, stride=2), ["index by a mask", "_unique2"]),
        (SparseConv3d(4, 4, kernel_size=2, stride=2, extent=(6, 6, 6)), ["index by a mask", "_unique2"]),
    ],
    ids=["submanifold", "tiling", "stride of one", "overlapping", "extent"],
)
def test_a_kernel_map_is_one_read_and_derived_sites_at_most_three(layer, sites):
    x = tensor(cloud())
    # Two sets of one tensor stride are compared; where their numbers of sites differ, a GPU is not asked for values.
    with HostReads() as reads:
        layer(x)
    assert reads == [*sites, "tolist"]


def test_a_unet_reads_one_value_a_set_of_sites_and_one_a_kernel_map():
    """Five resolutions: four derived sets, five submanifold maps, four strided ones, which the way up shares."""
    x, network = tensor(cloud()), UNet(4, size="small")
    with HostReads() as reads:
        network(x)
    assert sorted(reads) == ["_unique2"] * 4 + ["tolist"] * 9


@pytest.mark.parametrize("ascending", [True, False])
def test_pairs_are_those_of_brute_force_in_order_of_offset_and_output(ascending):
    """Also where sites come in another order than their own, as those of a MinkowskiEngine tensor do."""
    rows = cloud() if ascending else cloud()[torch.randperm(len(cloud()))]
    x = tensor(cloud())
    sites = x.maps.engine.insert(rows.to(torch.int32), (1, 1, 1))
    geometry = SubmanifoldConv3d(1, 1, kernel_size=(3, 2, 1), dilation=(2, 1, 1)).geometry
    found = torch.stack(x.maps.engine.pairs(x.maps.engine.kernel_map(sites, sites, geometry)), dim=1).tolist()
    border = default_padding((3, 2, 1), (2, 1, 1))
    expected = find_matches(rows.numpy(), rows.numpy(), (1, 1, 1), (3, 2, 1), (1, 1, 1), border, (2, 1, 1))
    assert [tuple(match) for match in found] == sorted(expected, key=lambda match: (match[0], match[2]))


def test_products_add_up_offset_by_offset():
    """The order of a sum is fixed, bit for bit, and each output row occurs once at an offset."""
    x, layer = tensor(cloud()), SubmanifoldConv3d(4, 6)
    offset, in_row, out_row = x.maps.pairs(x.sites, x.sites, layer.geometry)
    expected = torch.zeros(len(x), 6)
    for k in range(27):
        rows = out_row[offset == k]
        assert len(torch.unique(rows)) == len(rows)
        expected[rows] += x.features[in_row[offset == k]] @ layer.weight[k]
    assert torch.equal(layer(x).features, expected)


def test_a_map_without_sites_has_no_pairs():
    x = SparseTensor(torch.zeros(0, 4), torch.zeros(0, 4, dtype=torch.int32), batch_size=2, backend="torch_ops")
    pairs = x.maps.pairs(x.sites, x.sites, SubmanifoldConv3d(4, 4).geometry)
    assert [np.asarray(part).shape for part in pairs] == [(0,)] * 3
