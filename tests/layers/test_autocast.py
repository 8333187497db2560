"""Mixed precision: products are rounded, and only products."""

import pytest
import torch
from torch import nn

from spikevox.layers import (
    ILIF,
    LIF,
    PSN,
    BatchNorm,
    GlobalMeanPool,
    Linear,
    SparseConv3d,
    SparseInverseConv3d,
    SparseTensor,
    SubmanifoldConv3d,
)
from spikevox.layers.backbones import Encoder

BACKENDS = ("minkowski", "torch_ops", "compiled")
# Rounding to the nearest of p significant bits errs by 2^-p at most: 8 bits in bfloat16, 11 in float16.
ROUNDING = {torch.bfloat16: 2**-8, torch.float16: 2**-11}
# Below 2^-14 float16 has a fixed spacing; with factors of about 1 and some hundred terms this stays below 2^-15.
SMALLEST = 2**-15
LAYERS = {
    "submanifold": lambda: SubmanifoldConv3d(16, 8),
    "strided": lambda: SparseConv3d(16, 8, kernel_size=3, stride=2),
    "groups": lambda: SubmanifoldConv3d(16, 8, groups=2),
    "inverse": lambda: SparseInverseConv3d(16, 8, kernel_size=2, stride=2),
}
KINDS = pytest.mark.parametrize("kind", list(ROUNDING), ids=str)


def mixed(kind=torch.bfloat16):
    return torch.autocast("cpu", dtype=kind)


def cloud(channels=16, kind=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(0, 7, (250, 4), generator=generator)
    rows[:, 0] %= 2
    rows = torch.unique(rows, dim=0)
    features = torch.randn(len(rows), channels, generator=generator).to(kind)
    return SparseTensor(features, rows, batch_size=2, backend="torch_ops")


def gradients(layer, features, weight, upper):
    """Result and gradients of features and weight, on the sites of a cloud, with values in place of the layer's own."""
    layer = layer.to(weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
    x = cloud(kind=features.dtype)
    if isinstance(layer, SparseInverseConv3d):
        x = SparseConv3d(16, 16, kernel_size=2, stride=2).to(features.dtype)(x)
    values = features[: len(x)].clone().requires_grad_()
    result = layer(x.replace(values)).features
    return result, *torch.autograd.grad(result, [values, layer.weight], upper[: len(result)].to(result.dtype))


@KINDS
@pytest.mark.parametrize("name", LAYERS)
def test_convolutions_and_gradients_keep_the_bound_of_the_type(name, kind):
    """Two factors and each offset's product are rounded once, sums are float32: 3 u times the sum of absolute products.

    That is the worst case, without luck of signs; the slack above 3 u covers its square and float32's own rounding.
    """
    layer = LAYERS[name]()
    features, upper = torch.randn(250, 16), torch.randn(250, 8)
    weight = torch.randn(layer.weight.shape)
    with mixed(kind):
        found = gradients(layer, features, weight, upper)
    exact = gradients(layer, features.double(), weight.double(), upper.double())
    scales = gradients(layer, features.double().abs(), weight.double().abs(), upper.double().abs())
    bound = 3.05 * ROUNDING[kind]
    for value, reference, scale in zip(found, exact, scales, strict=True):
        assert value.dtype == torch.float32
        error = (value.double() - reference).abs()
        assert bool((error <= bound * scale + SMALLEST).all())
        # Products did run in the short type: float32 would err by less than a hundredth of its rounding.
        assert error.max() > 0.01 * ROUNDING[kind] * scale.max()


@KINDS
def test_spikes_are_exact(kind):
    spikes = torch.arange(256.0)
    assert torch.equal(spikes.to(kind).float(), spikes)


def test_products_are_short_and_all_that_adds_up_is_float32():
    x, upper = cloud(), Linear(8, 3)
    conv, norm, neuron, pool = SubmanifoldConv3d(16, 8, bias=True), BatchNorm(8), ILIF(), GlobalMeanPool()
    with mixed():
        y = conv(x)
        head = upper(neuron(norm(y)))
        logits = pool(head)
        loss = nn.functional.cross_entropy(logits, torch.tensor([0, 1]))
    assert y.features.dtype == norm(y).features.dtype == neuron(y).features.dtype == torch.float32
    assert head.features.dtype == torch.bfloat16
    assert logits.dtype == loss.dtype == norm.running_var.dtype == torch.float32
    loss.backward()
    for parameter in (*conv.parameters(), *norm.parameters(), *upper.parameters()):
        assert parameter.dtype == parameter.grad.dtype == torch.float32


def test_statistics_of_short_features_are_those_of_float32():
    rows = (3 + torch.randn(5000, 4)).bfloat16()
    one, other = BatchNorm(4), BatchNorm(4)
    with mixed():
        found = one(rows)
    assert torch.equal(found, other(rows.float()))
    assert torch.equal(one.running_mean, other.running_mean)
    assert torch.equal(one.running_var, other.running_var)


@pytest.mark.parametrize(
    "neuron", [ILIF(time_steps=4), LIF(time_steps=4, decay=0.3), PSN(4), ILIF(time_steps=4, stateful=True)], ids=repr
)
def test_membranes_are_charged_in_float32(neuron):
    inputs = (2 * torch.rand(4, 3000)).bfloat16()
    with mixed():
        found = neuron(inputs)
    if neuron.memory is not None:
        assert all(part.dtype == torch.float32 for part in neuron.memory.load("", neuron.memory._place))
        neuron.memory.reset()
    assert found.dtype == torch.float32
    assert torch.equal(found, neuron(inputs.float()))


@KINDS
def test_encoder_t_trains(kind):
    network = nn.Sequential(Encoder("T", 16, batch_norm_momentum=0.1), Linear(128, 2), GlobalMeanPool()).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(6):
        with mixed(kind):
            loss = nn.functional.cross_entropy(network(cloud()), torch.tensor([0, 1]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in network.parameters())
    assert torch.isfinite(torch.tensor(losses)).all()
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_float64_and_the_engines_of_the_cpu_stay_as_they_are(backend):
    for kind in (torch.float64, *([torch.float32] if backend != "torch_ops" else [])):
        x = cloud(kind=kind)
        x = SparseTensor(x.features, x.coordinates, batch_size=2, backend=backend)
        layer = SubmanifoldConv3d(16, 8).to(kind)
        with mixed():
            found = layer(x).features
        assert found.dtype == kind
        assert torch.equal(found, layer(x).features)


@KINDS
def test_a_network_in_half_precision_without_autocast_keeps_its_type(kind):
    layer = SubmanifoldConv3d(16, 8).to(kind)
    result = layer(cloud(kind=kind)).features
    assert result.dtype == kind
    exact = layer.double()(cloud(kind=kind).replace(cloud(kind=kind).features.double())).features
    assert torch.allclose(result.double(), exact, atol=0.02)
