"""SpikeRateLoss: its value and gradient from counts made by hand, and what it leaves out."""

import pytest
import torch
from torch import nn

from spikevox.layers import ILIF, SparseTensor, SpikeRateLoss
from spikevox.layers.backbones import Encoder
from spikevox.layers.errors import LayerError
from spikevox.layers.monitor import FiringMonitor


@pytest.fixture
def two_layers():
    """Neuron layers that emit 1, 4, 0, 1 (rate 1.5) and, after halving, 0, 2, 0, 0 (rate 0.5)."""
    network = nn.Sequential(ILIF(levels=4), nn.Linear(2, 2, bias=False), ILIF(levels=4))
    with torch.no_grad():
        network[1].weight.copy_(torch.eye(2) * 0.45)
    return network, torch.tensor([[1.0, 4.0], [0.0, 1.0]])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"target": 0.2}, 0.5 * (1.3 + 0.3)),
        ({"target": 1.0, "weight": 2.0}, 2.0 * 0.5),
        ({"target": 1.5}, 0.0),
        ({"target": 0.2, "over": "network"}, 0.5 * 2 * (1.0 - 0.2)),
        ({"target": 1.2, "over": "network"}, 0.0),
    ],
)
def test_the_loss_is_the_excess_of_rates_counted_by_hand(two_layers, options, expected):
    network, x = two_layers
    loss = SpikeRateLoss(**options)
    with loss.watch(network):
        network(x)
        assert loss().item() == pytest.approx(expected)


def test_the_rates_are_those_of_the_monitor_on_a_network():
    torch.manual_seed(0)
    network = Encoder("T", in_channels=3)
    coordinates = torch.unique(torch.cat([torch.zeros(200, 1), torch.randint(0, 12, (200, 3))], 1).int(), dim=0)
    x = SparseTensor(torch.randn(len(coordinates), 3), coordinates, backend="torch_ops")
    loss = SpikeRateLoss(target=0.05, weight=1.0)
    with FiringMonitor(network) as monitor, loss.watch(network):
        network(x)
        value = loss()
    expected = sum(max(0.0, layer.firing_rate - 0.05) for layer in monitor.summary().values())
    assert value.item() == pytest.approx(expected, rel=1e-5)
    assert expected > 0


def test_only_layers_above_the_target_are_pushed_down(two_layers):
    network, x = two_layers
    x.requires_grad_()
    loss = SpikeRateLoss(target=1.0, weight=2.0)
    with loss.watch(network):
        network(x)
        loss().backward()
    # The first layer's excess is a mean over four values; the surrogate lets through where 0 < membrane < 4 or at its ends.
    assert (x.grad >= 0).all()
    assert x.grad.max().item() == pytest.approx(2.0 / 4)
    assert network[1].weight.grad is None or not network[1].weight.grad.any()


def test_the_weight_grows_over_the_ramp(two_layers):
    network, x = two_layers
    loss = SpikeRateLoss(target=0.2, ramp=0.5)
    values = []
    with loss.watch(network):
        for loss.progress in (0.0, 0.25, 0.5, 1.0):
            network(x)
            values.append(loss().item())
    assert values == pytest.approx([0.0, 0.4, 0.8, 0.8])


def test_several_calls_of_the_network_count_together_and_each_loss_begins_anew(two_layers):
    network, x = two_layers
    loss = SpikeRateLoss(target=0.2)
    with loss.watch(network):
        network(x)
        network(torch.zeros_like(x))
        assert loss().item() == pytest.approx(0.5 * (0.75 - 0.2 + 0.25 - 0.2))
        network(x)
        assert loss().item() == pytest.approx(0.8)


def test_what_runs_without_gradients_does_not_count(two_layers):
    network, x = two_layers
    loss = SpikeRateLoss(target=0.2)
    with loss.watch(network):
        network(x)
        with torch.no_grad():
            network(4 * torch.ones_like(x))
        assert loss().item() == pytest.approx(0.8)


def test_the_watch_leaves_nothing_behind(two_layers):
    network, x = two_layers
    loss = SpikeRateLoss(target=0.2)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), loss.watch(network):
        network(torch.zeros(2, 3))
    assert not network[0]._forward_hooks
    network(x)
    with pytest.raises(LayerError, match="called inside its watch"):
        loss()


def test_an_empty_input_costs_nothing():
    network = nn.Sequential(ILIF(levels=4))
    loss = SpikeRateLoss(target=0.2)
    with loss.watch(network):
        network(torch.zeros(0, 3))
        assert loss().item() == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": -0.1}, "target of a spike rate loss must be a number of at least 0, got -0.1"),
        ({"target": float("nan")}, "target of a spike rate loss"),
        ({"target": "0.1"}, "target of a spike rate loss"),
        ({"target": 0.1, "weight": True}, "weight of a spike rate loss must be a number of at least 0, got True"),
        ({"target": 0.1, "ramp": 1.5}, r"ramp of a spike rate loss must lie in \[0, 1\], got 1.5"),
        ({"target": 0.1, "over": "all"}, "over of a spike rate loss must be 'layer' or 'network', got 'all'"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(LayerError, match=message):
        SpikeRateLoss(**options)


def test_a_network_without_neurons_is_refused():
    with (
        pytest.raises(LayerError, match="needs a network with neurons"),
        SpikeRateLoss(0.1).watch(nn.Sequential(nn.ReLU())),
    ):
        pass
