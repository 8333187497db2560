import numpy as np
import pytest
import torch
from torch import nn

from oracles.encoder_numpy import Network
from spikevox.layers import (
    FiringMonitor,
    GlobalMeanPool,
    LayerError,
    Linear,
    Neuron,
    SparseConv3d,
    SparseInverseConv3d,
    SparseTensor,
    SubmanifoldConv3d,
    Up,
)
from spikevox.layers.backbones import Encoder

BACKENDS = ("minkowski", "torch_ops", "compiled")


@pytest.mark.parametrize(
    ("size", "expected"), [("T", 1_874_216), ("S", 3_271_144), ("L", 17_330_600), ("H", 46_574_248)]
)
def test_parameter_counts_are_the_published_ones(size, expected):
    encoder = Encoder(size, in_channels=6)
    head = Linear(encoder.out_channels, 40)
    assert sum(p.numel() for p in [*encoder.parameters(), *head.parameters()]) == expected


class Recogniser(nn.Module):
    def __init__(self, in_channels, classes, **options):
        super().__init__()
        self.encoder = Encoder("T", in_channels, **options)
        self.head = Linear(self.encoder.out_channels, classes)

    def forward(self, x):
        return GlobalMeanPool()(self.head(self.encoder(x)))


def clouds(batch_size=3, sites=60, channels=6, **options):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(0, 9, (sites * batch_size, 4), generator=generator)
    rows[:, 0] = torch.arange(len(rows)) % batch_size
    rows = torch.unique(rows, dim=0)
    features = torch.randn(len(rows), channels, generator=generator, dtype=torch.float64)
    return SparseTensor(features, rows, batch_size=batch_size, **options)


def trained_statistics(network, x):
    """Running statistics of the data, so that neurons fire at rates as in a trained network."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.momentum = 1.0
    network.train()(x)
    return network.eval()


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_independent_numpy_forward_gives_the_same_logits(backend):
    """float64 on both sides, spikes compared first; all layers fire at 5-50 %, so silence cannot pass."""
    torch.manual_seed(0)
    x = clouds(backend=backend)
    network = trained_statistics(Recogniser(6, 10).double(), x)
    spikes = []
    for neuron in (m for m in network.modules() if isinstance(m, Neuron)):
        neuron.register_forward_hook(lambda _module, _inputs, output: spikes.append(output))
    with torch.no_grad(), FiringMonitor(network) as monitor:
        logits = network(x)
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    oracle = Network(weights)
    expected = oracle(x.features.numpy(), x.coordinates.numpy().astype(np.int64), x.batch_size)
    assert len(spikes) == len(oracle.spikes) == 18
    for ours, (sites, theirs) in zip(spikes, oracle.spikes, strict=True):
        order = np.lexsort(ours.coordinates.numpy().T[::-1])
        assert np.array_equal(ours.coordinates.numpy()[order], sites)
        assert np.array_equal(ours.features.numpy()[order], theirs)
    rates = [firing.nonzero for firing in monitor.summary().values()]
    assert np.allclose(rates, oracle.rates, atol=1e-12)
    assert min(rates) > 0.05
    assert max(rates) < 0.5
    assert np.abs(logits.numpy() - expected).max() < 1e-9


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "layer",
    [
        SubmanifoldConv3d(3, 5),
        SparseConv3d(3, 5, kernel_size=2, stride=2),
        SparseConv3d(3, 5, kernel_size=3, stride=2),
        Linear(3, 5, bias=False),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_the_integer_forward_is_the_sum_of_binary_forwards(layer, backend):
    x = clouds(channels=3, backend=backend)
    spikes = torch.randint(0, 5, x.features.shape, generator=torch.Generator().manual_seed(1)).double()
    layer = layer.double()
    binary = sum(layer(x.replace((spikes >= d).double())).features for d in range(1, 5))
    assert torch.allclose(layer(x.replace(spikes)).features, binary, atol=1e-12)


def test_the_inverse_convolution_is_linear_in_spikes_too():
    x = clouds(channels=3)
    down = SparseConv3d(3, 4, kernel_size=2, stride=2).double()
    up = SparseInverseConv3d(4, 3, kernel_size=2, stride=2).double()
    coarse = down(x)
    spikes = torch.randint(0, 5, coarse.features.shape).double()
    binary = sum(up(coarse.replace((spikes >= d).double())).features for d in range(1, 5))
    assert torch.allclose(up(coarse.replace(spikes)).features, binary, atol=1e-12)


@pytest.mark.minkowski
@pytest.mark.compiled
def test_all_parameters_get_the_same_finite_gradient_on_every_backend():
    gradients = []
    for backend in BACKENDS:
        torch.manual_seed(0)
        x = clouds(backend=backend)
        network = Recogniser(6, 10, batch_norm_momentum=0.1).double()
        network(x).square().sum().backward()
        gradients.append([p.grad for p in network.parameters()])
        assert all(torch.isfinite(g).all() and g.abs().max() > 0 for g in gradients[-1])
    for others in gradients[1:]:
        for one, other in zip(gradients[0], others, strict=True):
            assert torch.allclose(one, other, rtol=1e-8, atol=1e-10)


def test_two_runs_are_bit_equal():
    results = []
    for _ in range(2):
        torch.manual_seed(0)
        network = Recogniser(6, 10).double()
        logits = network(clouds())
        logits.sum().backward()
        results.append([logits, *[p.grad for p in network.parameters()]])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


@pytest.mark.parametrize("neuron", ["lif", "psn", "plif"])
def test_time_steps_pass_the_whole_encoder(neuron):
    base = clouds(channels=3)
    steps = base.features.expand(4, -1, -1)
    x = SparseTensor(steps, base.coordinates, batch_size=3, time_steps=4)
    options = {"time_steps": 4} if neuron == "psn" else {}
    network = Recogniser(3, 5, width=0.5, neuron=neuron, neuron_options=options).double()
    assert network(x).shape == (4, 3, 5)


def test_up_returns_to_the_sites_of_the_skip():
    x = clouds(channels=4)
    down = SparseConv3d(4, 6, kernel_size=2, stride=2).double()
    up = Up(6, 4, 5).double()
    y = up(down(x), x)
    assert y.sites is x.sites
    assert y.features.shape == (len(x), 5)


def test_unknown_sizes_and_neurons_are_refused():
    with pytest.raises(LayerError, match="unknown encoder size 'XL'"):
        Encoder("XL", 3)
    with pytest.raises(LayerError, match="unknown neuron"):
        Encoder("T", 3, neuron="izhikevich")
    with pytest.raises(LayerError, match="width must lie in"):
        Encoder("T", 3, width=0)
