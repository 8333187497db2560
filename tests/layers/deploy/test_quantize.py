"""Networks in integers: exact against loops, equal to their binary form, near to real numbers, and proved not to overflow."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from layers.deploy.networks import NETWORKS, cloud
from layers.networks import firing
from spikevox.layers import (
    ILIF,
    LIF,
    BatchNorm,
    GlobalMeanPool,
    GraphError,
    Linear,
    MaxPool3d,
    ReLU,
    SparseConv3d,
    SparseTensorError,
    SubmanifoldConv3d,
    concatenate,
)
from spikevox.layers.backbones import Encoder
from spikevox.layers.deploy import to_integer
from spikevox.layers.deploy.fixed_point import Range, int8_weights, range_of_sums, requantisation
from spikevox.layers.deploy.program import branch
from spikevox.layers.sparse_tensor import features_of


@pytest.mark.parametrize("name", NETWORKS)
def test_binary_steps_give_every_bit_of_the_integers(name):
    x = cloud()
    network = to_integer(firing(NETWORKS[name]().double(), x), [x])
    integers, binary = network(x), network(x, binary=True)
    for number, table in enumerate(network.program.tables):
        assert np.array_equal(integers.tables[number], binary.tables[number])
        if table.kind == "spikes":
            assert 0.05 <= (integers.tables[number] > 0).mean() <= 0.75
    assert integers.clipped == 0


class Row(nn.Module):
    """Real input, spikes, and a membrane that is given."""

    def __init__(self):
        super().__init__()
        self.entry = nn.Sequential(SubmanifoldConv3d(3, 16), BatchNorm(16))
        self.spike = ILIF(4)
        self.inner = nn.Sequential(SubmanifoldConv3d(16, 24, bias=True), BatchNorm(24))

    def forward(self, x):
        x = self.entry(x)
        return x, self.inner(self.spike(x))


def test_membranes_are_as_near_as_half_steps_of_the_weights_allow():
    x = cloud()
    network = firing(Row().double(), x)
    found = to_integer(network, [x])(x)
    with torch.no_grad():
        entry, _ = network(x)
        # The inner layer on the spikes that the integers fired.
        spikes = x.replace(torch.from_numpy(found.tables[1 if found.tables[1].dtype == np.uint8 else 2]).double())
        inner = network.inner(spikes)
    for got, wanted, layer, largest in (
        (found.output[0], entry, network.entry, 2 ** math.ceil(math.log2(x.features.abs().max()))),
        (found.output[1], inner, network.inner, 4),
    ):
        scale = layer[1].weight / torch.sqrt(layer[1].running_var + layer[1].eps)
        step = (layer[0].weight * scale).abs().amax(dim=(0, 1)) / 127
        taken = 27 * layer[0].in_channels * largest
        error = (features_of(got) - features_of(wanted)).abs()
        assert bool((error <= (step / 2 * taken + 1e-3)).all())
        # What is typical is far better than the worst that could be.
        assert error.mean() < 0.02 * features_of(wanted).abs().mean()


@given(st.integers(-(2**30), 2**30), st.integers(0, 2**31 - 1), st.integers(1, 40))
def test_a_branch_rounds_halves_up(a, multiplier, shift):
    layer = type("Layer", (), {})()
    layer.multiplier, layer.shift = np.array([multiplier], np.int32), np.array([shift], np.int32)
    layer.offset = np.array([1 << (shift - 1)], np.int64)
    exact = Fraction(a * multiplier, 2**shift)
    assert int(branch(np.array([[a]]), layer)[0, 0]) == math.floor(exact + Fraction(1, 2))


@given(st.floats(1e-9, 1e4), st.floats(-1e6, 1e6), st.integers(1, 2**31 - 1), st.floats(-1, 1))
def test_multiplier_shift_and_offset_stand_for_factor_and_bias(factor, bias, largest, part):
    known = Range(np.array([-largest]), np.array([largest]))
    if largest * factor > 2**40:
        return
    numbers = requantisation("layer", np.array([factor]), np.array([bias]), known)
    a = int(part * largest)
    found = (a * int(numbers.multiplier[0]) + int(numbers.offset[0])) >> int(numbers.shift[0])
    assert abs(found - (a * factor + bias)) <= 0.5 + 1e-6 + abs(a) * factor * 2.0**-19 + abs(bias) * 2.0**-19
    numbers.apply("layer", known)  # and nothing of it leaves int64


def test_weights_keep_their_largest_at_127_a_channel(generator):
    weight = generator.normal(size=(27, 8, 5)) * [1, 1e-3, 1e3, 0, 1]
    (found,), scale = int8_weights([weight])
    assert found.dtype == np.int8
    np.testing.assert_array_equal(np.abs(found).max(axis=(0, 1)), [127, 127, 127, 0, 127])
    assert (np.abs(found * scale - weight) <= scale / 2 + 1e-12).all()


def test_no_sum_leaves_the_range_that_is_proved(generator):
    weight = generator.integers(-127, 128, (3, 4, 2))
    values = Range(np.array([0, -5, 2, -7]), np.array([4, 5, 3, -2]))
    low, high = range_of_sums(weight, values)
    corners = np.array(np.meshgrid(*[sorted({*ends, 0}) for ends in zip(*values, strict=True)])).reshape(4, -1).T
    per_offset = np.einsum("kco,nc->nko", weight, corners)
    np.testing.assert_array_equal(per_offset.min(axis=0).sum(axis=0), low)
    np.testing.assert_array_equal(per_offset.max(axis=0).sum(axis=0), high)


class Sums(nn.Module):
    """A wide layer of neurons of many levels."""

    def __init__(self):
        super().__init__()
        self.first, self.neuron = SubmanifoldConv3d(3, 540, kernel_size=1), ILIF(255)
        self.second = SubmanifoldConv3d(540, 1, kernel_size=5)
        nn.init.constant_(self.second.weight, 1e-4)

    def forward(self, x):
        return self.second(self.neuron(self.first(x)))


def test_sums_that_could_leave_int32_name_their_layer():
    with pytest.raises(GraphError, match=r"^second \(SubmanifoldConv3d\): its sums may reach 2185987500, beyond int32"):
        to_integer(Sums(), [cloud()])


def test_membranes_that_could_leave_int32_name_their_layer():
    network = nn.Sequential(SubmanifoldConv3d(3, 4), ILIF(4), Linear(4, 2))
    nn.init.constant_(network[2].weight, 1e9)
    with pytest.raises(GraphError, match=r"^2 \(Linear\): its membrane may reach 1\.6e\+10, which int32 does not hold"):
        to_integer(network, [cloud()])


class OfAUsersOwn(nn.Module):
    """Binary neurons, spikes added to a membrane, branches of several neurons, strides of their own, a sum of sites."""

    def __init__(self):
        super().__init__()
        self.entry, self.norm = SubmanifoldConv3d(3, 8, kernel_size=(3, 1, 2), bias=True), BatchNorm(8)
        self.spike, self.step = ILIF(3), LIF(threshold=0.4)
        self.wide = SubmanifoldConv3d(8, 8, dilation=2)
        self.down = SparseConv3d(16, 6, kernel_size=3, stride=(2, 2, 1), bias=True)
        self.rounded = SparseConv3d(6, 6, kernel_size=2, stride=2, sites="stride")
        self.head, self.pool = Linear(6, 5), GlobalMeanPool()

    def forward(self, x):
        a = self.norm(self.entry(x))
        b = self.wide(self.spike(a)) + a + self.step(a)
        c = self.down(concatenate(self.spike(b), self.step(a)))
        d = self.rounded(self.spike(c))
        return {"logits": self.pool(self.head(d)), "parts": (b, self.spike(c))}


def test_users_networks_are_near_their_real_numbers():
    x = cloud()
    network = firing(OfAUsersOwn().double(), x)
    for module in (network.entry, network.wide, network.down, network.rounded, network.head):
        nn.init.normal_(module.weight, std=0.3)
    integers = to_integer(network, [x])
    assert [output.name for output in integers.program.outputs] == ["logits", "parts.0", "parts.1"]
    found, binary = integers(x), integers(x, binary=True)
    assert all(np.array_equal(one, other) for one, other in zip(found.tables, binary.tables, strict=True))
    with torch.no_grad():
        expected = network(x)
    assert found.output["logits"].shape == (4, 5)
    error = (found.output["parts"][0].features - expected["parts"][0].features).abs()
    assert error.mean() < 0.05 * expected["parts"][0].features.abs().mean()
    assert (found.output["parts"][1].features != expected["parts"][1].features).double().mean() < 0.1


def test_more_clouds_and_other_rows_change_nothing_of_a_sample():
    x = cloud()
    network = to_integer(firing(NETWORKS["encoder"]().double(), x), [x])
    together = network(x).output
    for sample in range(4):
        rows = x.coordinates[:, 0] == sample
        alone = type(x)(x.features[rows], x.coordinates[rows], batch_size=4, backend="torch_ops")
        assert torch.equal(network(alone).output[sample], together[sample])


def test_values_beyond_the_calibration_are_clipped_and_counted():
    x = cloud()
    network = to_integer(firing(NETWORKS["encoder"]().double(), x), [x])
    assert network(x.replace(1.9 * x.features)).clipped == 0
    beyond = network(x.replace(100 * x.features))
    assert beyond.clipped > 0
    assert beyond.tables[0].max() == 32767


class AddsTheInput(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = SubmanifoldConv3d(3, 3)

    def forward(self, x):
        return self.layer(x) + x


class NormalisesASum(AddsTheInput):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.norm = SubmanifoldConv3d(3, 3), SubmanifoldConv3d(3, 3), BatchNorm(3)

    def forward(self, x):
        return self.norm(self.first(x) + self.second(x))


class JoinsMembranes(AddsTheInput):
    def forward(self, x):
        return concatenate(self.layer(x), self.layer(x))


class MixesSources(AddsTheInput):
    def __init__(self):
        super().__init__()
        self.neuron, self.head = ILIF(4), Linear(6, 2)

    def forward(self, x):
        a = self.layer(x)
        return self.head(concatenate(self.neuron(a), a))


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (nn.Sequential(SubmanifoldConv3d(3, 4), ReLU(), Linear(4, 2)), "0 (SubmanifoldConv3d): a rectified unit"),
        (nn.Sequential(SubmanifoldConv3d(3, 4), MaxPool3d(2)), "1 (MaxPool3d): this pool"),
        (nn.Sequential(SubmanifoldConv3d(3, 4), GlobalMeanPool(), Linear(4, 2)), "a pool that is read by a layer"),
        (nn.Sequential(ILIF(4), Linear(3, 2)), "the input: the input in a sum of membranes, or under a neuron"),
        (AddsTheInput(), "layer (SubmanifoldConv3d): the input in a sum"),
        (NormalisesASum(), "a normalisation that does not follow"),
        (JoinsMembranes(), "membranes side by side"),
        (MixesSources(), "head (Linear): a layer that reads spikes and real values side by side"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_what_has_no_integer_form_is_named(network, text):
    with pytest.raises(GraphError) as error:
        to_integer(network, [cloud()])
    assert text in str(error.value)
    assert "has no integer form" in str(error.value)


def test_wrong_inputs_are_errors():
    x = cloud()
    network = to_integer(firing(Encoder("T", 3).double(), x), [x])
    with pytest.raises(SparseTensorError, match="made for 3 channels at tensor stride"):
        network(cloud(channels=4))
    with pytest.raises(SparseTensorError, match="not finite"):
        network(x.replace(x.features * float("nan")))
    with pytest.raises(GraphError, match="needs calibration inputs"):
        to_integer(Encoder("T", 3), [])
