"""Each monitor on a network that is broken in its way, and on the same network unbroken."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from spikevox.layers import ILIF, LIF, BatchNorm, HealthMonitor, ReLU, SparseTensor, SubmanifoldConv3d, Thresholds
from spikevox.layers.errors import LayerError
from spikevox.layers.monitor import LayerActivity


def tensor(seed=0, sites=900):
    generator = np.random.default_rng(seed)
    cells = np.unique(generator.integers(0, round((2 * sites) ** (1 / 3)), (sites, 3)), axis=0)
    features = torch.tensor(generator.normal(size=(len(cells), 4)), dtype=torch.float32)
    return SparseTensor(features, torch.tensor(np.insert(cells, 0, 0, axis=1)), batch_size=1)


def network(neuron=ILIF):
    """Two units of convolution, normalisation and neuron, whose running statistics are those of the data."""
    torch.manual_seed(0)
    layers = [SubmanifoldConv3d(4, 20), BatchNorm(20), neuron(), SubmanifoldConv3d(20, 20), BatchNorm(20), neuron()]
    model = nn.Sequential(*layers, SubmanifoldConv3d(20, 2))
    for norm in (model[1], model[4]):
        nn.init.constant_(norm.bias, 0.7)
        norm.momentum = 0.5
    for seed in range(8):
        model(tensor(seed))
    return model


def examine(model, *, backward=True, x=None):
    """Training steps and evaluation, as a validation after an epoch."""
    model = copy.deepcopy(model)
    with HealthMonitor(model) as monitor:
        if backward:
            for norm in (m for m in model.modules() if isinstance(m, BatchNorm)):
                norm.momentum = 0.0
            model.train()(x or tensor(20)).features.square().mean().backward()
        with torch.no_grad():
            model.eval()(x or tensor(21))
    return monitor.findings()


def norm_set(weight=None, bias=None, channels=slice(None), layer=1):
    def spoil(model):
        with torch.no_grad():
            if weight is not None:
                model[layer].weight[channels] = weight
            if bias is not None:
                model[layer].bias[channels] = bias

    return spoil


def shift_running_mean(model):
    model[4].running_mean += 3 * model[4].running_var.sqrt()


def scale_gradient(factor):
    """Membranes as before, gradients times a factor, from the second neuron on backwards."""

    def spoil(model):
        class Scaled(nn.Module):
            def forward(self, x):
                features = x.features * factor + x.features.detach() * (1 - factor)
                return SparseTensor.on_sites(features, x.sites)

        model.insert(5, Scaled())

    return spoil


def nan_gradient(model):
    class Spoiled(nn.Module):
        def forward(self, x):
            if x.features.requires_grad:
                x.features.register_hook(lambda g: torch.full_like(g, math.nan))
            return x

    model.append(Spoiled())


BROKEN = {
    "dead": (
        norm_set(bias=-100.0, channels=slice(0, 12)),
        "2",
        "12 of 20 channels never fired in",
        "learn nothing either",
    ),
    "silent": (norm_set(bias=-2.6, channels=slice(0, 12)), "2", "channels fired at fewer than", "next to nothing"),
    "saturated": (norm_set(bias=6.0, channels=slice(0, 12)), "2", "12 of 20 channels are at level 4 of 4", "cut off"),
    "bursting": (
        norm_set(weight=30.0, bias=-30.0, channels=slice(0, 12)),
        "2",
        "fire seldom, but then in more than 80%",
        "yes or no",
    ),
    "levels": (norm_set(weight=0.2), "2", "0.000% of the values that are not 0 reach level 3 of 4", "hardly used"),
    "membrane": (norm_set(weight=5000.0), "2", "of the membranes (-", "little gradient passes"),
    "drift": (shift_running_mean, "5", "spikes a value in training and", "running statistics"),
}


def test_a_healthy_network_is_told_nothing_of():
    assert examine(network()) == []
    assert examine(network(lambda: LIF(threshold=1.0))) == []


@pytest.mark.parametrize("kind", BROKEN)
def test_each_monitor_fires_on_a_network_broken_in_its_way(kind):
    spoil, layer, text, meaning = BROKEN[kind]
    model = network()
    spoil(model)
    # Enough values to tell a channel that seldom fires from one that never does.
    findings = examine(model, x=tensor(22, sites=12_000))
    found = [finding for finding in findings if finding.kind == kind and finding.layer == layer]
    assert len(found) == 1, findings
    said = str(found[0])
    assert said.startswith(f"{layer}: ")
    assert text in said
    assert meaning in said
    assert found[0].remedy
    assert (
        found[0].value < found[0].threshold if kind in ("levels", "membrane") else found[0].value > found[0].threshold
    )


@pytest.mark.parametrize(
    ("spoil", "layer", "text"),
    [
        (scale_gradient(1e-9), "2", "the gradient at its membranes is"),
        (scale_gradient(1e9), "2", "the gradient at its membranes is"),
        (nan_gradient, "5", "of its gradients are NaN or infinite"),
    ],
    ids=["vanishing", "exploding", "invalid"],
)
def test_gradients_that_vanish_explode_or_are_nan_are_found(spoil, layer, text):
    model = network()
    spoil(model)
    found = [finding for finding in examine(model) if finding.kind == "gradient"]
    assert layer in {finding.layer for finding in found}
    assert all(text in finding.text for finding in found)
    assert [finding for finding in examine(model, backward=False) if finding.kind == "gradient"] == []


def test_membranes_that_are_nan_are_counted():
    x = tensor()
    x.features[3, 0] = math.nan
    found = [f for f in examine(network(), backward=False, x=x) if f.kind == "membrane"]
    assert "membranes are NaN or infinite, the others" in found[0].text
    assert math.isnan(found[0].value)


@pytest.mark.parametrize("steps", [1, 3])
def test_figures_equal_counts_one_by_one(steps):
    generator = np.random.default_rng(0)
    x = torch.tensor(generator.normal(1, 2, (steps, 6, 5)), dtype=torch.float32)
    x[:, :, 0] = -1
    model = nn.Sequential(ILIF(levels=3, decay=0.5, time_steps=steps)).eval()
    with HealthMonitor(model) as monitor:
        spikes = model(x).tolist()
    (activity,) = monitor.layers().values()
    total, counts = steps * 6 * 5, [0] * 4
    membranes, high = [], []
    for c in range(5):
        values = [spikes[t][n][c] for t in range(steps) for n in range(6)]
        assert activity.nonzero[c] == pytest.approx(sum(v > 0 for v in values) / len(values))
        assert activity.at_top[c] == pytest.approx(sum(v == 3 for v in values) / len(values))
        sites = [[spikes[t][n][c] for t in range(steps)] for n in range(6)]
        fired = [sum(site) / (3 * steps) for site in sites if any(site)]
        assert activity.burst[c] == pytest.approx(sum(fired) / len(fired) if fired else 0)
        for value in values:
            counts[int(value)] += 1
        for n in range(6):
            left = 0.0
            for t in range(steps):
                membranes.append(left + float(x[t, n, c]))
                left = 0.5 * (membranes[-1] - spikes[t][n][c])
    high = [0 < u < 3 for u in membranes]
    assert activity.histogram.tolist() == pytest.approx([count / total for count in counts])
    assert activity.firing_rate == pytest.approx(sum(map(sum, (row for step in spikes for row in step))) / total)
    seen = activity.membranes
    assert (seen.low, seen.high) == pytest.approx((min(membranes), max(membranes)), abs=1e-5)
    assert (seen.mean, seen.deviation) == pytest.approx((np.mean(membranes), np.std(membranes)), abs=1e-5)
    assert seen.in_reach == pytest.approx(np.mean(high))


def test_gradients_are_those_of_autograd():
    model = nn.Sequential(ILIF(levels=2))
    x = torch.tensor([[0.5, 5.0], [1.5, -1.0]], requires_grad=True)
    with HealthMonitor(model) as monitor:
        (model(x) * torch.tensor([[3.0, 4.0], [1.0, 2.0]])).sum().backward()
    seen = monitor.layers(training=True)["0"].gradients
    assert seen.spikes == pytest.approx(math.sqrt((9 + 16 + 1 + 4) / 4))
    assert seen.membranes == pytest.approx(math.sqrt((9 + 1) / 4))
    # Of a backward pass after the block nothing is counted.
    with HealthMonitor(model) as later:
        loss = model(x).sum()
    loss.backward()
    assert later.layers(training=True)["0"].gradients is None


def test_channels_of_images_stand_behind_the_batch():
    x = torch.zeros(2, 3, 4, 4)
    x[:, 1] = 1
    model = nn.Sequential(ILIF(levels=2)).eval()
    with HealthMonitor(model) as monitor:
        model(x)
    assert monitor.layers()["0"].nonzero.tolist() == [0, 1, 0]


def test_few_values_are_not_judged_and_thresholds_can_be_set():
    model = nn.Sequential(ILIF(levels=4)).eval()
    with HealthMonitor(model) as monitor:
        model(torch.full((99, 4), -5.0))
    assert monitor.findings() == []
    with HealthMonitor(model, Thresholds(dead=1.0, in_reach=0.0)) as monitor:
        model(torch.full((500, 4), -5.0))
    assert monitor.findings() == []
    with pytest.raises(LayerError, match="threshold drift must be at least 0, got -1"):
        Thresholds(drift=-1)


def test_nothing_is_left_behind_and_networks_without_spikes_have_no_figures():
    model = nn.Sequential(nn.Linear(2, 2), ReLU(), ILIF())
    with HealthMonitor(model) as monitor:
        model(torch.randn(5, 2))
    model(torch.randn(5, 2))
    assert list(monitor.layers(training=True)) == ["2"]
    assert monitor.layers(training=True)["2"].samples == 5
    assert LayerActivity(levels=4).firing_rate == 0
