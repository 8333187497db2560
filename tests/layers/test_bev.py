"""The 2D backbone: published parameter count, what a map from above holds, resolutions, gradients."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from spikevox.layers import ILIF, SparseTensor
from spikevox.layers.backbones import BEV_SIZES, BevBackbone, Voxel8x, merge_heights
from spikevox.layers.errors import LayerError, SparseTensorError


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def spikes(*shape):
    return torch.randint(0, 5, shape, generator=torch.Generator().manual_seed(0)).float()


def test_published_parameter_counts_of_the_single_stage():
    assert parameters(BevBackbone(256)) == 1_219_328
    heads = parameters(nn.Conv2d(256, 2, 1)) + parameters(nn.Conv2d(256, 14, 1)) + parameters(nn.Conv2d(256, 4, 1))
    assert parameters(Voxel8x(4)) + parameters(BevBackbone(256)) + heads == 2_946_836
    assert parameters(BevBackbone(128, size="small")) < 250_000


def test_heights_become_channels_of_their_place():
    """Each site is looked up by hand; channel 5 of height 1 of 2 is map channel 11."""
    generator = np.random.default_rng(0)
    shape, stride = (7, 5, 2), (8, 8, 16)
    rows = np.unique(generator.integers(0, (2, *shape), (60, 4)), axis=0)
    features = generator.normal(size=(len(rows), 6)).astype(np.float32)
    coordinates = rows * np.array([1, *stride])
    x = SparseTensor(torch.from_numpy(features), torch.from_numpy(coordinates), batch_size=2, tensor_stride=stride)
    expected = np.zeros((2, 12, 5, 7), np.float32)
    for (sample, column, row, height), values in zip(rows, features, strict=True):
        for channel, value in enumerate(values):
            expected[sample, 2 * channel + height, row, column] = value
    assert np.array_equal(merge_heights(x, shape).numpy(), expected)
    with pytest.raises(SparseTensorError, match="leave the box"):
        merge_heights(x, (6, 5, 2))


def test_a_time_axis_is_refused():
    x = SparseTensor(torch.ones(2, 1, 3), torch.zeros(1, 4, dtype=torch.int64), batch_size=1, time_steps=2)
    with pytest.raises(LayerError, match="one time step"):
        merge_heights(x, (1, 1, 1))


@pytest.mark.parametrize("size", BEV_SIZES)
@pytest.mark.parametrize("cells", [(8, 6), (9, 7)])
def test_the_map_keeps_its_cells(size, cells):
    network = BevBackbone(16, size=size).eval()
    assert network(spikes(2, 16, *cells)).shape == (2, network.out_channels, *cells)


def test_the_output_is_that_of_torch_functions():
    """Written out with functional calls alone, batch statistics included."""
    network = BevBackbone(8, size="small", batch_norm_momentum=0.5)
    x = spikes(2, 8, 6, 4)

    def unit(module, value, *, first=False, stride=1, transposed=False):
        value = value if first else (value.clamp(0, 4) + 0.5).floor()
        if transposed:
            value = functional.conv_transpose2d(value, module.conv.weight, stride=stride)
        else:
            value = functional.conv2d(value, module.conv.weight, stride=stride, padding=1)
        return functional.batch_norm(value, None, None, module.norm.weight, module.norm.bias, training=True, eps=1e-3)

    fine = x
    for position, module in enumerate(network.fine):
        fine = unit(module, fine, first=position == 0)
    coarse = fine
    for position, module in enumerate(network.coarse):
        coarse = unit(module, coarse, stride=2 if position == 0 else 1)
    expected = [unit(network.up[i], y, stride=i + 1, transposed=True) for i, y in enumerate((fine, coarse))]
    # Rounding may put a membrane on the other side of a half where sums run in another order: none does here.
    assert torch.allclose(network(x), torch.cat(expected, dim=1), atol=1e-5)


def test_every_parameter_gets_a_gradient():
    network = BevBackbone(8, size="small", batch_norm_momentum=0.1)
    network(spikes(2, 8, 12, 12)).square().sum().backward()
    assert all(bool(p.grad.isfinite().all()) and bool(p.grad.abs().sum() > 0) for p in network.parameters())


def test_a_neuron_before_the_first_convolution_would_change_nothing():
    x = spikes(1, 3, 4, 4)
    assert torch.equal(ILIF()(x), x)
    assert not any(isinstance(m, ILIF) for m in BevBackbone(8, neuron="relu").modules())


def test_an_unknown_size_is_named():
    with pytest.raises(LayerError, match="unknown BevBackbone size 'T'; there are base, small"):
        BevBackbone(8, size="T")


def test_voxel8x_tells_the_shape_of_its_output():
    assert Voxel8x(4, grid=(1408, 1600, 41)).out_shape == (176, 200, 2)
    assert Voxel8x(4).out_shape is None
    with pytest.raises(LayerError, match="leaves 2"):
        Voxel8x(4, grid=(64, 64, 16))
