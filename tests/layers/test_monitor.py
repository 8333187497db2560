import pytest
import torch
from torch import nn

from spikevox.layers import ILIF, LIF, FiringMonitor, SparseTensor


def test_figures_equal_a_count_by_hand():
    network = nn.Sequential(ILIF(levels=2))
    x = torch.tensor([[0.0, 0.6, 5.0], [0.0, 0.4, 1.0]])
    with FiringMonitor(network) as monitor:
        network(x)
        network(torch.zeros(2, 3))
    firing = monitor.summary()["0"]
    assert firing.firing_rate == pytest.approx((1 + 2 + 1) / 12)
    assert firing.nonzero == pytest.approx(3 / 12)
    assert firing.dead == pytest.approx(1 / 3)
    assert firing.saturated == pytest.approx(1 / 12)
    assert monitor.firing_rate == pytest.approx(4 / 12)


def test_steps_of_sparse_tensors_count_and_hooks_are_removed():
    network = nn.Sequential(LIF(decay=1.0))
    x = SparseTensor(torch.full((4, 1, 2), 0.5), torch.zeros(1, 4, dtype=torch.int32), time_steps=4)
    with FiringMonitor(network) as monitor:
        network(x)
    network(x)
    assert monitor.summary()["0"].firing_rate == pytest.approx(0.5)
    assert monitor.summary()["0"].dead == 0


def test_a_network_without_neurons_has_no_figures():
    with FiringMonitor(nn.Linear(2, 2)) as monitor:
        pass
    assert monitor.summary() == {}
    assert monitor.firing_rate == 0


def test_channels_of_images_are_those_behind_the_batch():
    x = torch.zeros(2, 4, 3, 3)
    x[1, 2] = 1
    network = nn.Sequential(ILIF())
    with FiringMonitor(network) as monitor:
        network(x)
    assert monitor.summary()["0"].dead == pytest.approx(3 / 4)
