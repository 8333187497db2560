"""What layers are before anything is trained: first weights, defaults, and what they say of themselves."""

import math

import pytest
import torch

from spikevox.layers import (
    IF,
    LIF,
    PSN,
    AveragePool3d,
    LayerError,
    MaxPool3d,
    SparseConv3d,
    SparseInverseConv3d,
    SubmanifoldConv3d,
)


@pytest.mark.parametrize(
    ("layer", "fan"),
    [
        (SparseConv3d(16, 64, kernel_size=3, stride=2, bias=True), 16),
        (SparseInverseConv3d(16, 64, kernel_size=3, stride=2, bias=True), 64),
    ],
)
def test_first_weights_are_uniform_within_the_bound_of_minkowski_engine(layer, fan):
    bound = 1 / math.sqrt(fan * 27)
    weight = layer.weight.detach()
    assert weight.abs().max() <= bound
    # 27,648 draws: the standard error of the mean is 0.0035 bounds and that of the deviation 0.002 bounds.
    assert abs(weight.mean()) < 0.02 * bound
    assert weight.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert not layer.bias.any()


def test_first_weights_of_submanifold_convolutions_are_those_of_e3dsnn():
    layer = SubmanifoldConv3d(16, 64, bias=True)
    weight = layer.weight.detach()
    assert abs(weight.mean()) < 5e-4
    assert weight.std() == pytest.approx(0.02, rel=0.05)
    assert not layer.bias.any()


def test_a_convolution_tells_its_stride_where_it_has_one():
    assert repr(SubmanifoldConv3d(2, 4)) == "SubmanifoldConv3d(2, 4, kernel_size=(3, 3, 3), bias=False)"
    assert "stride=(2, 2, 2)" in repr(SparseConv3d(2, 4, kernel_size=2, stride=2))
    assert "stride=(1, 1, 2)" in repr(SparseConv3d(2, 4, kernel_size=2, stride=(1, 1, 2)))
    assert "groups=2" in repr(SubmanifoldConv3d(2, 4, groups=2))


@pytest.mark.parametrize("pool", [MaxPool3d, AveragePool3d])
def test_pools_that_step_by_their_kernel_tile_the_grid(pool):
    for layer in (pool(3), pool(3, stride=3), pool((3, 3, 3), stride=3)):
        assert layer.geometry.stride == (3, 3, 3)
        assert layer.geometry.padding == (0, 0, 0)
    assert pool(3, stride=2).geometry.padding == (1, 1, 1)


@pytest.mark.parametrize("pool", [MaxPool3d, AveragePool3d])
def test_a_negative_padding_is_refused(pool):
    with pytest.raises(LayerError, match="padding"):
        pool(3, padding=-1)


def test_psn_starts_at_a_threshold_of_one():
    neuron = PSN(4, decay=None)
    assert neuron.bias.tolist() == [-1.0] * 4
    assert neuron.weight.abs().max() <= 0.5
    assert neuron.weight.std() > 0.1


def test_psn_starts_as_a_lif_neuron_that_is_never_reset():
    neuron = PSN(3, decay=0.25)
    assert neuron.weight.tolist() == [[1.0, 0.0, 0.0], [0.25, 1.0, 0.0], [0.0625, 0.25, 1.0]]
    charge = torch.rand(3, 100, generator=torch.Generator().manual_seed(0))
    membrane = charge[0]
    expected = [membrane >= 1]
    for step in (1, 2):
        membrane = 0.25 * membrane + charge[step]
        expected.append(membrane >= 1)
    assert torch.equal(neuron(charge), torch.stack(expected).float())
    assert PSN(2, decay=0.0).weight.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_the_default_window_is_one_threshold_wide():
    # A rectangle of sharpness 1 is 1 within half a threshold of the step and 0 beyond.
    membrane = torch.tensor([[0.45, 0.55, 1.0, 1.45, 1.55]], requires_grad=True)
    IF()(membrane).sum().backward()
    assert (membrane.grad != 0).tolist() == [[False, True, True, True, False]]
    psn = PSN(1)
    torch.nn.init.ones_(psn.weight)
    again = membrane.detach().clone().requires_grad_()
    psn(again.unsqueeze(0)).sum().backward()
    assert (again.grad != 0).tolist() == [[False, True, True, True, False]]


@pytest.mark.parametrize("value", [float("inf"), -1.0, 0.0])
def test_a_threshold_must_be_positive_and_finite(value):
    with pytest.raises(LayerError, match="threshold must be positive and finite"):
        LIF(threshold=value)
