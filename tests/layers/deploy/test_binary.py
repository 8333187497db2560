"""Integer networks and their binary forms fire the same spikes.

Whole networks are compared in float64, spikes first, and on whole weights, where every sum is exact; in float32 layer by layer on
the spikes of the network with integers, as one neuron at a tie changes all that follows.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from layers.deploy.networks import NETWORKS, cloud, outputs_of
from layers.networks import Recogniser, firing
from oracles.neuron_numpy import ilif, integer_spikes
from spikevox.layers import (
    ILIF,
    LIF,
    PSN,
    BatchNorm,
    GlobalMaxPool,
    GlobalMeanPool,
    GlobalSumPool,
    GraphError,
    Linear,
    MaxPool3d,
    Neuron,
    SparseConv3d,
    SparseTensor,
    SubmanifoldConv3d,
    concatenate,
)
from spikevox.layers.backbones import BevBackbone, Encoder, VoxelNeXtBackbone
from spikevox.layers.deploy import BinarySpikes, to_binary
from spikevox.layers.deploy.binary import OnEachStep, VirtualStepNeuron, integrate_and_fire
from spikevox.layers.sparse_tensor import features_of


def assert_equal_spikes(network, *arguments, rates=(0.05, 0.75)):
    """The same spikes in every layer, all of them binary; returns both results."""
    integers, expected = outputs_of(network, Neuron, *arguments)
    binary, found = outputs_of(to_binary(network), Neuron, *arguments)
    assert list(integers) == list(binary)
    assert integers
    for name, calls in integers.items():
        for wanted, spikes in zip(calls, binary[name], strict=True):
            if isinstance(spikes, BinarySpikes):
                assert all(bool(((step == 0) | (step == 1)).all()) for step in spikes.steps), name
                assert len(spikes.steps) == network.get_submodule(name).levels, name
                spikes = spikes.integers()
            assert torch.equal(spikes, wanted), name
            assert rates[0] <= (wanted != 0).double().mean() <= rates[1], name
    return expected, found


@given(
    st.lists(st.floats(-3, 300, width=32) | st.integers(-2, 510).map(lambda n: n / 2), min_size=1), st.integers(1, 255)
)
def test_a_neuron_that_integrates_and_fires_emits_the_integer(membrane, levels):
    values = torch.tensor(membrane)
    steps = integrate_and_fire(values, levels)
    assert len(steps) == levels
    np.testing.assert_array_equal(sum(steps).numpy(), integer_spikes(values.numpy(), levels))
    # From the first step on, without a pause.
    assert all(bool((later <= sooner).all()) for sooner, later in pairwise(steps))


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_fire_the_same_spikes_in_float64(name):
    x = cloud()
    network = firing(NETWORKS[name]().double(), x)
    expected, found = assert_equal_spikes(network, x)
    pairs = [(found, expected)]
    if hasattr(expected, "membranes"):
        assert torch.equal(features_of(found.spikes).integers(), features_of(expected.spikes))
        pairs = list(zip(found.membranes, expected.membranes, strict=True))
    for one, other in pairs:
        torch.testing.assert_close(features_of(one), features_of(other), rtol=1e-12, atol=1e-12)


class Whole(nn.Module):
    """A layer with int8 weights and one factor a channel behind it."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        weight = layer.weight.data
        axes = [a for a in range(weight.ndim) if a != (weight.ndim - 1 if not isinstance(layer, nn.Linear) else 0)]
        factor = weight.abs().amax(dim=axes, keepdim=True) / 127
        layer.weight.data = (weight / factor).round()
        if layer.bias is not None:
            layer.bias.data = (layer.bias.data / factor.flatten()).round()
        self.factor = factor.flatten()

    def forward(self, x, *arguments):
        y = self.layer(x, *arguments)
        assert torch.equal(y.features, y.features.round())
        return y.replace(y.features * self.factor)


def with_whole_weights(network):
    for name, module in list(network.named_modules()):
        if isinstance(module, SubmanifoldConv3d | SparseConv3d | Linear) and name != "stem.layers.0":
            parent, _, last = name.rpartition(".")
            setattr(network.get_submodule(parent), last, Whole(module))
    return network


def test_whole_weights_give_equal_bits_down_to_the_logits():
    x = cloud()
    x = x.replace((8 * x.features).round())
    network = Recogniser(Encoder("T", 3)).double()
    # Behind the head come real values: its input is a membrane.
    head = network.head
    network.head = nn.Identity()
    network = firing(with_whole_weights(network), x)
    network.head = head
    expected, found = assert_equal_spikes(network, x)
    assert expected.abs().max() > 0
    assert torch.equal(found, expected)


@pytest.mark.parametrize("name", ["encoder", "u-net", "detection backbone"])
def test_layer_by_layer_in_float32_on_the_spikes_of_the_integers(name):
    x = cloud(dtype=torch.float32)
    network = firing(NETWORKS[name](), x)
    binary = to_binary(network)
    compared = flips = 0
    for path, module in binary.named_modules():
        if not isinstance(module, OnEachStep) or not isinstance(
            module.layer, SubmanifoldConv3d | SparseConv3d | Linear
        ):
            continue
        seen = {}
        hook = network.get_submodule(path).register_forward_hook(lambda _, i, y, seen=seen: seen.update(x=i[0], y=y))
        with torch.no_grad():
            network(x)
        hook.remove()
        spikes, expected = seen["x"], seen["y"].features
        if not bool((spikes.features == spikes.features.round()).all()):
            continue  # reads real values
        assert 0.05 <= (spikes.features != 0).double().mean() <= 0.75, path
        with torch.no_grad():
            found = module(spikes.replace(BinarySpikes(integrate_and_fire(spikes.features, 4)))).features
        largest = expected.abs().max()
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(largest))
        unlike = integrate_and_fire(found, 4)
        flipped = sum(unlike) != ILIF(4)(expected)
        flips += int(flipped.sum())
        tie = (expected - expected.floor() - 0.5).abs()
        assert bool((tie[flipped] <= 1e-5 * largest).all()), path
        compared += 1
    assert compared >= 10
    assert flips <= 5


@pytest.mark.parametrize("neuron", [ILIF(3, decay=0.5), LIF(decay=0.5, threshold=0.4), PSN(3)], ids=repr)
def test_time_steps_stay_beside_virtual_ones(neuron):
    x = cloud(time_steps=3)
    network = nn.Sequential(
        SubmanifoldConv3d(3, 8), BatchNorm(8), neuron, SubmanifoldConv3d(8, 8, bias=True), BatchNorm(8), neuron,
        GlobalMeanPool(),
    ).double()  # fmt: skip
    network = firing(network, x)
    expected, found = assert_equal_spikes(network, x)
    assert expected.shape == (3, 4, 8)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_a_membrane_leaks_from_time_step_to_time_step_as_by_hand():
    values = np.random.default_rng(0).normal(1, 2, (6, 50))
    spikes = VirtualStepNeuron(4, decay=0.25, time_steps=6)(torch.from_numpy(values))
    assert len(spikes.steps) == 4
    np.testing.assert_array_equal(spikes.integers().numpy(), ilif(values, 4, 0.25))


def test_kept_state_goes_on_in_the_next_call():
    network = nn.Sequential(ILIF(4, decay=0.5, stateful=True), Linear(3, 2)).double().eval()
    binary = to_binary(network)
    parts = cloud(time_steps=4).features
    for part in parts:
        torch.testing.assert_close(binary(part), network(part), rtol=1e-12, atol=1e-12)


class OfAUsersOwn(nn.Module):
    """Spikes joined, indexed, pooled by their largest and by sums, and read by a neuron, before a layer takes them."""

    def __init__(self):
        super().__init__()
        self.entry = SubmanifoldConv3d(3, 12, bias=True)
        nn.init.normal_(self.entry.weight, std=0.5)
        self.few, self.many = ILIF(2), ILIF(5)
        self.largest, self.total, self.most = MaxPool3d(2), GlobalSumPool(), GlobalMaxPool()
        self.read, self.out = Linear(24, 6), Linear(12, 6)
        self.again = ILIF(3)

    def forward(self, x):
        membrane = self.entry(x)
        joined = self.read(concatenate(self.few(membrane), self.many(membrane)))
        pooled = self.out(self.largest(self.many(membrane)))
        picked = self.few(membrane)
        picked = picked.replace(picked.features[:, [3, 1, 0, 2, 11, 10, 9, 8, 7, 6, 5, 4]])
        return joined.features, pooled.features, self.out(self.again(picked)).features, self.total(picked), self.out(
            self.most(self.many(membrane))
        )  # fmt: skip


def test_what_lies_between_a_neuron_and_a_layer_may_join_choose_and_pool():
    network = OfAUsersOwn().double().eval()
    expected, found = assert_equal_spikes(network, cloud(), rates=(0.01, 0.9))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_dense_maps_of_a_detector():
    network = BevBackbone(6, size="small").double()
    x = torch.rand(2, 6, 9, 11, dtype=torch.float64)
    network = firing(network, x)
    expected, found = assert_equal_spikes(network, x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_a_backbone_that_sums_heights():
    x = cloud(channels=5)
    x = SparseTensor(x.features, x.coordinates + torch.tensor([0, 8, 8, 8]), batch_size=4, backend="torch_ops")
    network = firing(VoxelNeXtBackbone(5, size="small").double(), x)
    expected, found = assert_equal_spikes(network, x)
    torch.testing.assert_close(found.features, expected.features, rtol=1e-12, atol=1e-12)


def test_the_network_is_left_as_it_was():
    x = cloud()
    network = firing(NETWORKS["encoder"]().double(), x)
    before = network(x)
    keys = list(network.state_dict())
    binary = to_binary(network.train())
    assert network.training
    assert not binary.training
    assert list(network.state_dict()) == keys
    assert torch.equal(network.eval()(x), before)
    assert binary.head.weight is binary.head.layer.weight  # attributes of the layer are there


class Doubles(nn.Module):
    def __init__(self):
        super().__init__()
        self.neuron, self.layer = ILIF(4), Linear(3, 3)

    def forward(self, x):
        spikes = self.neuron(x)
        return self.layer(spikes * 2)


class AddsToAMembrane(Doubles):
    def forward(self, x):
        return self.layer(x) + self.neuron(x)


@pytest.mark.parametrize(("network", "text"), [(Doubles(), "mul"), (AddsToAMembrane(), "add")])
def test_arithmetic_on_spikes_is_an_error(network, text):
    with pytest.raises(GraphError, match=f"torch's {text}.* is called on spikes"):
        to_binary(network)(torch.ones(2, 3))


class OwnRule(Neuron):
    levels = 4


@pytest.mark.parametrize("neuron", ["relu", OwnRule])
def test_neurons_without_a_binary_form_are_named(neuron):
    with pytest.raises(GraphError, match=r"^stem\.layers\.2: "):
        to_binary(Encoder("T", 3, neuron=neuron))


def test_joining_spikes_with_a_membrane_is_an_error():
    spikes = BinarySpikes([torch.ones(2, 3)])
    with pytest.raises(GraphError, match="torch's cat"):
        torch.cat([spikes, torch.ones(2, 3)])
    with pytest.raises(GraphError, match=r"cannot be run|is called"):
        torch.ops.aten.add(spikes, 1)
