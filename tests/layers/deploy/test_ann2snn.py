"""Rectified networks made to spike: scales cancel exactly, and what is lost shrinks with the number of levels."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from layers.deploy.networks import cloud
from layers.networks import Recogniser, firing
from spikevox.layers import (
    ILIF,
    BatchNorm,
    GlobalMeanPool,
    GraphError,
    Linear,
    Neuron,
    ReLU,
    SparseConv3d,
    SubmanifoldConv3d,
    concatenate,
)
from spikevox.layers.backbones import Encoder, UNet, Voxel8x
from spikevox.layers.deploy import to_binary, to_integer, to_spiking
from spikevox.layers.energy.rectify import with_relu
from spikevox.layers.sparse_tensor import features_of


class OfAUsersOwn(nn.Module):
    """Units on membranes that are joined, added, pooled and read by a layer without normalisation."""

    def __init__(self):
        super().__init__()
        self.entry, self.norm = SubmanifoldConv3d(3, 8, bias=True), BatchNorm(8)
        self.first, self.second, self.third, self.fourth = ReLU(), nn.ReLU(), ReLU(), ReLU()
        self.inner = SubmanifoldConv3d(8, 8, bias=True)
        self.down = SparseConv3d(16, 6, kernel_size=2, stride=2)
        self.after = BatchNorm(6)
        self.head, self.other, self.pool = Linear(6, 5), Linear(6, 5), GlobalMeanPool()

    def forward(self, x):
        a = self.norm(self.entry(x))
        b = self.inner(self.first(a)) + a
        joined = concatenate(a, b)
        joined = joined.replace(self.second(joined.features))
        c = self.after(self.down(joined))
        return self.head(self.pool(self.third(c))), self.other(c), self.fourth(b)


NETWORKS = {
    "encoder": lambda: Recogniser(Encoder("T", 3, width=0.5, neuron="relu")),
    "u-net": lambda: nn.Sequential(UNet(3, size="small", neuron="relu"), Linear(64, 19)),
    "detection backbone": lambda: Voxel8x(3, size="small", grid=(9, 9, 33), neuron="relu"),
    "a user's own": OfAUsersOwn,
}


def tensors(result):
    if isinstance(result, tuple):
        return [one for part in result for one in tensors(part)]
    return [features_of(result)]


@pytest.mark.parametrize("name", NETWORKS)
def test_scales_cancel(name):
    """With units in the place of the neurons again, the network says what it said before."""
    x = cloud()
    network = firing(NETWORKS[name]().double(), x)
    found = to_spiking(network, [x], levels=8)
    spiking = [module for module in found.network.modules() if isinstance(module, ILIF)]
    assert len(spiking) == len(found.units)
    assert all(module.levels == 8 for module in spiking)
    assert any(abs(unit.scale - 1) > 0.1 for unit in found.units)
    with torch.no_grad():
        expected, back = tensors(network(x)), tensors(with_relu(found.network)(x))
    for number, (one, other) in enumerate(zip(back, expected, strict=True)):
        if name == "detection backbone" or (name == "a user's own" and number == 2):
            # Membranes that are results are in units of their scale.
            scale = (one.abs().sum(dim=0) / other.abs().sum(dim=0).clamp(min=1e-300))[None]
            torch.testing.assert_close(one, other * scale, rtol=1e-6, atol=1e-9)
            continue
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


def test_more_levels_lose_less():
    x = cloud()
    network = firing(NETWORKS["encoder"]().double(), x)
    with torch.no_grad():
        expected = network(x)
    lost = []
    for levels in (2, 8, 32, 255):
        conversion = to_spiking(network, [x], levels=levels)
        with torch.no_grad():
            lost.append(float((conversion.network(x) - expected).norm() / expected.norm()))
        assert max(unit.error for unit in conversion.units) < 1.0 / levels + 0.45
    assert lost == sorted(lost, reverse=True)
    assert lost[-1] < 0.02


def test_a_scale_is_the_best_by_hand():
    """Values 0 to 10 in steps of one are told exactly by ten levels of one."""
    rows = torch.arange(11.0)[:, None]
    x = cloud(channels=1, count=200)
    x = x.replace(rows[torch.arange(len(x)) % 11].double())
    layers = nn.Sequential(SubmanifoldConv3d(1, 1, kernel_size=1), ReLU(), Linear(1, 1, bias=False)).double()
    nn.init.constant_(layers[0].weight, 1.0)
    conversion = to_spiking(layers, [x], levels=10)
    (unit,) = conversion.units
    assert unit.name == "1"
    assert unit.scale == pytest.approx(1.0)
    assert unit.error < 1e-6
    assert conversion.network[0].weight.item() == pytest.approx(1.0)
    with torch.no_grad():
        torch.testing.assert_close(conversion.network(x).features, layers(x).features, rtol=1e-6, atol=1e-9)


def test_what_comes_out_goes_on_to_other_forms():
    x = cloud()
    network = firing(NETWORKS["encoder"]().double(), x)
    converted = to_spiking(network, [x]).network
    with torch.no_grad():
        torch.testing.assert_close(to_binary(converted)(x), converted(x), rtol=1e-10, atol=1e-10)
    integers = to_integer(converted, [x])
    result = integers(x)
    assert all(np.array_equal(a, b) for a, b in zip(result.tables, integers(x, binary=True).tables, strict=True))
    assert {table.levels for table in integers.program.tables} == {0, 8}


def test_the_network_is_left_as_it_was():
    x = cloud()
    network = firing(NETWORKS["a user's own"]().double(), x)
    before = [p.clone() for p in network.parameters()]
    to_spiking(network, [x])
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert not any(isinstance(module, Neuron) and isinstance(module, ILIF) for module in network.modules())
    assert not network.first._forward_pre_hooks


class UnitOnTheInput(nn.Module):
    def __init__(self):
        super().__init__()
        self.unit, self.layer = ReLU(), Linear(3, 3)

    def forward(self, x):
        return self.layer(self.unit(x))


class NormalisesAMembrane(UnitOnTheInput):
    def __init__(self):
        super().__init__()
        self.norm = BatchNorm(3)

    def forward(self, x):
        y = self.layer(x)
        return self.norm(y), self.unit(y)


class UsesAUnitTwice(UnitOnTheInput):
    def forward(self, x):
        return self.unit(self.layer(self.unit(self.layer(x))))


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (nn.Sequential(SubmanifoldConv3d(3, 4), BatchNorm(4)), "converted nothing"),
        (Encoder("T", 3), "stem.layers.2 (ILIF): it fires already"),
        (UnitOnTheInput(), "unit (ReLU): its unit reads the input"),
        (NormalisesAMembrane(), "norm (BatchNorm): a normalisation that reads a membrane"),
        (UsesAUnitTwice(), "a unit is used at several places"),
        (nn.Sequential(SubmanifoldConv3d(3, 4, kernel_size=1), ReLU(), SubmanifoldConv3d(4, 4, groups=2)), "in groups"),
    ],
)
def test_what_cannot_be_converted_is_named(network, text):
    with pytest.raises(GraphError, match=re.escape(text)):
        to_spiking(network.double(), [cloud()])


def test_calibration_is_needed():
    with pytest.raises(GraphError, match="needs calibration inputs"):
        to_spiking(NETWORKS["encoder"](), [])
