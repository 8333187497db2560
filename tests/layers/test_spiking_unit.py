"""Neuron, convolution and normalisation in one step give what they give one by one, bit for bit."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import spikevox.layers.spiking_unit as module
from spikevox.layers import (
    ILIF,
    LIF,
    BatchNorm,
    LayerError,
    Linear,
    SparseConv3d,
    SparseInverseConv3d,
    SparseTensor,
    SparseTensorError,
    SubmanifoldConv3d,
    ThresholdDependentBatchNorm,
)
from spikevox.layers.backbones import Encoder, UNet
from spikevox.layers.monitor import FiringMonitor
from spikevox.layers.spiking_unit import SpikingSequential, spiking_conv

pytestmark = pytest.mark.compiled


def cloud(channels=16, count=900, dtype=torch.float32, backend="compiled", seed=0):
    generator = np.random.default_rng(seed)
    rows = torch.from_numpy(np.unique(generator.integers(0, [3, 12, 12, 12], (count, 4)), axis=0))
    features = torch.from_numpy(generator.normal(1, 1.5, (len(rows), channels))).to(dtype).requires_grad_()
    return SparseTensor(features, rows, batch_size=3, backend=backend)


@pytest.fixture
def joined(monkeypatch):
    """Counts how often the joined step is taken."""
    taken = []
    plain = module._joined

    def count(*arguments):
        taken.append(1)
        return plain(*arguments)

    monkeypatch.setattr(module, "_joined", count)
    return taken


def one_by_one(monkeypatch):
    monkeypatch.setattr(module, "_can_join", lambda *_: False)


def results(network, x, call=None):
    """All that a training step leaves: result, gradients, running statistics."""
    features = x.features
    features.grad = None
    y = (call or network)(x)
    y = y.features if isinstance(y, SparseTensor) else y
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)).sum().backward()
    return [y.detach(), features.grad, *(p.grad for p in network.parameters()), *network.buffers()]


CONVOLUTIONS = {
    "narrow": (SubmanifoldConv3d, 16, 16, {}),
    "odd widths": (SubmanifoldConv3d, 19, 33, {}),
    "wide": (SubmanifoldConv3d, 70, 96, {}),
    "strided": (SparseConv3d, 16, 40, {"kernel_size": 3, "stride": 2}),
    "tiled": (SparseConv3d, 48, 24, {"kernel_size": 2, "stride": 2}),
}


@pytest.mark.parametrize("neuron", [ILIF(), ILIF(levels=2), None], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_it_is_the_layers_one_by_one_bit_for_bit(monkeypatch, joined, name, dtype, neuron):
    kind, inputs, outputs, options = CONVOLUTIONS[name]
    layers = [layer for layer in (neuron, kind(inputs, outputs, **options), BatchNorm(outputs)) if layer is not None]
    network = SpikingSequential(*layers).to(dtype)
    nn.init.normal_(network[-2].weight, std=0.3)
    other = copy.deepcopy(network)
    found = results(network, cloud(inputs, dtype=dtype))
    assert joined == [1]
    one_by_one(monkeypatch)
    expected = results(other, cloud(inputs, dtype=dtype))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("own", [True, False], ids=["its own membrane", "another's"])
def test_a_shortcut_is_added_in_the_same_step(monkeypatch, joined, own, dtype):
    network = SpikingSequential(ILIF(), SubmanifoldConv3d(16, 16), BatchNorm(16)).to(dtype)
    nn.init.normal_(network[1].weight, std=0.3)
    other = copy.deepcopy(network)

    def call(layers):
        return lambda x: layers(x, x if own else x.replace(x.features * 3))

    found = results(network, cloud(dtype=dtype), call(network))
    assert joined == [1]
    one_by_one(monkeypatch)
    expected = results(other, cloud(dtype=dtype), call(other))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    plain = results(network, cloud(dtype=dtype))[0]
    assert not torch.equal(found[0], plain)


def test_a_shortcut_that_fits_nowhere_is_refused_as_by_the_sum(joined):
    network, x = SpikingSequential(ILIF(), SparseConv3d(16, 16, kernel_size=2, stride=2), BatchNorm(16)), cloud()
    with pytest.raises(SparseTensorError, match="different sites"):
        network(x, x)
    assert joined == [1]


@pytest.mark.parametrize("momentum", [None, 0.0, 0.3, 0.7, 1.0])
def test_running_statistics_are_those_of_the_layer_itself(monkeypatch, joined, momentum):
    network = SpikingSequential(SubmanifoldConv3d(16, 24), BatchNorm(24, momentum=momentum))
    nn.init.normal_(network[0].weight, std=0.3)
    other, version = copy.deepcopy(network), network[1].running_mean._version
    for seed in range(3):
        network(cloud(seed=seed))
    assert len(joined) == 3
    assert network[1].running_mean._version > version, "autograd must learn that they changed"
    one_by_one(monkeypatch)
    for seed in range(3):
        other(cloud(seed=seed))
    assert all(torch.equal(a, b) for a, b in zip(network.buffers(), other.buffers(), strict=True))
    assert int(network[1].num_batches_tracked) == 3


def test_an_inverse_convolution_returns_to_the_sites_of_its_partner(monkeypatch, joined):
    network = nn.ModuleList([SparseConv3d(16, 24, kernel_size=2, stride=2), ILIF(), BatchNorm(16)])
    network.append(SparseInverseConv3d(24, 16, kernel_size=2, stride=2))
    other = copy.deepcopy(network)

    def call(layers):
        return lambda x: spiking_conv(layers[0](x), layers[1], layers[3], layers[2], x)

    found = results(network, cloud(), call(network))
    assert joined == [1]
    one_by_one(monkeypatch)
    assert all(torch.equal(a, b) for a, b in zip(found, results(other, cloud(), call(other)), strict=True))


@pytest.mark.parametrize("make", [lambda: Encoder("T", 16), lambda: UNet(16, size="small")], ids=["encoder", "u-net"])
def test_whole_networks_are_the_same_bit_for_bit(monkeypatch, joined, make):
    torch.manual_seed(3)
    network = make()
    other = copy.deepcopy(network)
    found = results(network, cloud(count=1500))
    assert len(joined) >= 19
    one_by_one(monkeypatch)
    expected = results(other, cloud(count=1500))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_gradients_are_right_against_another_backend():
    network = SpikingSequential(ILIF(), SubmanifoldConv3d(8, 12), BatchNorm(12)).double()
    nn.init.normal_(network[1].weight, std=0.3)
    found = results(network, cloud(8, dtype=torch.float64))
    other = SpikingSequential(ILIF(), SubmanifoldConv3d(8, 12), BatchNorm(12)).double()
    other[1].load_state_dict(network[1].state_dict())
    expected = results(other, cloud(8, dtype=torch.float64, backend="torch_ops"))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def forgetful():
    """A normalisation without running statistics."""
    norm = BatchNorm(8)
    norm.running_mean = norm.running_var = norm.num_batches_tracked = None
    return norm


@pytest.mark.parametrize(
    "layers",
    [
        (ILIF(stateful=True), SubmanifoldConv3d(16, 8), BatchNorm(8)),
        (ILIF(), SubmanifoldConv3d(16, 8, bias=True), BatchNorm(8)),
        (ILIF(), SubmanifoldConv3d(16, 8, groups=2), BatchNorm(8)),
        (ILIF(), SubmanifoldConv3d(16, 8), ThresholdDependentBatchNorm(8)),
        (ILIF(), SubmanifoldConv3d(16, 8), BatchNorm(8, synchronise=True)),
        (ILIF(), SubmanifoldConv3d(16, 8), BatchNorm(8).eval()),
        (ILIF(), SubmanifoldConv3d(16, 8), forgetful()),
    ],
    ids=["kept state", "bias", "groups", "tdBN", "synchronised", "evaluation", "no running statistics"],
)
def test_other_layers_are_called_one_by_one(joined, layers):
    y = SpikingSequential(*copy.deepcopy(layers))(cloud())
    assert not joined
    expected = nn.Sequential(*copy.deepcopy(layers))(cloud())
    assert torch.equal(y.features, expected.features)


def test_another_neuron_stands_before_the_joined_rest(joined):
    layers = (LIF(), SubmanifoldConv3d(16, 8), BatchNorm(8))
    y = SpikingSequential(*copy.deepcopy(layers))(cloud())
    assert joined == [1]
    assert torch.equal(y.features, nn.Sequential(*layers)(cloud()).features)


def test_whoever_looks_at_a_layer_sees_it_called(joined):
    network = SpikingSequential(ILIF(), SubmanifoldConv3d(16, 8), BatchNorm(8), nn.Identity())
    with FiringMonitor(network) as monitor:
        network(cloud())
    assert not joined
    assert monitor.firing_rate > 0
    network(cloud())
    assert joined == [1]
    with torch.no_grad():
        network(cloud())
    network(cloud(backend="torch_ops"))
    assert joined == [1]


def test_wrong_channels_are_refused_as_by_the_layers():
    with pytest.raises(LayerError, match="expects 16 channels"):
        SpikingSequential(ILIF(), SubmanifoldConv3d(16, 8), BatchNorm(8))(cloud(5))
    with pytest.raises(LayerError, match="expects 9 channels"):
        SpikingSequential(ILIF(), SubmanifoldConv3d(16, 8), BatchNorm(9))(cloud())


@pytest.mark.parametrize("rows", [[[0, 1, 1, 1], [0, 3, 1, 1], [0, 5, 3, 1]], [[0, 0, 0, 0], [0, 1, 1, 1]]])
@pytest.mark.parametrize("kernel", [1, 2])
def test_few_output_sites_give_what_the_layers_give(rows, kernel):
    layers = SpikingSequential(ILIF(), SparseConv3d(16, 8, kernel_size=kernel, stride=2), BatchNorm(8))
    nn.init.normal_(layers[1].weight)
    features = torch.rand(len(rows), 16) * 4
    found, expected = (
        network(SparseTensor(features, torch.tensor(rows), batch_size=1, backend="compiled"))
        for network in (layers, nn.Sequential(*copy.deepcopy(layers)))
    )
    assert torch.equal(found.features, expected.features)
    assert torch.equal(found.coordinates, expected.coordinates)


def test_what_the_gradient_needs_is_let_go_with_the_gradient():
    saved = []

    def pack(tensor):
        saved.append(tensor.numel())
        return tensor

    network, x = SpikingSequential(ILIF(), SubmanifoldConv3d(16, 8), BatchNorm(8)), cloud()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = network(x).features.sum()
    # Membrane, spikes, sums, weight, scale, mean, variance: nothing large stays outside what autograd knows and frees.
    assert sorted(saved) == sorted([*[16 * len(x)] * 2, 8 * len(x), 27 * 16 * 8, 8, 8, 8])
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_only_what_is_asked_for_is_computed():
    network, x = SpikingSequential(ILIF(), SubmanifoldConv3d(16, 8), BatchNorm(8)), cloud()
    network[1].weight.requires_grad_(False)
    network(x).features.square().sum().backward()
    assert network[1].weight.grad is None
    assert x.features.grad is not None
    frozen = cloud()
    frozen.features.requires_grad_(False)
    network[1].weight.requires_grad_()
    network(frozen).features.square().sum().backward()
    assert network[1].weight.grad is not None
    assert frozen.features.grad is None


def test_autocast_leaves_the_unit_in_float32():
    network = SpikingSequential(Linear(16, 16), ILIF(), SubmanifoldConv3d(16, 8), BatchNorm(8))
    separate = nn.Sequential(*copy.deepcopy(network))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, expected = (layers(cloud()).features for layers in (network, separate))
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_a_membrane_that_is_no_number_reaches_the_loss():
    x = cloud()
    with torch.no_grad():
        x.features[3, 2] = float("nan")
    y = SpikingSequential(ILIF(), SubmanifoldConv3d(16, 8), BatchNorm(8))(x)
    assert y.features.isnan().any()
