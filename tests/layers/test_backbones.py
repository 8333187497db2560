"""U-Net and Voxel8x: published parameter counts, sites and shapes, gradients, bounds of the grid."""

import pytest
import torch
from torch import nn

from spikevox.layers import ILIF, FiringMonitor, Linear, SparseTensor
from spikevox.layers.backbones import UNET_SIZES, VOXEL8X_SIZES, UNet, Voxel8x
from spikevox.layers.errors import GraphError, LayerError
from spikevox.layers.graph import record


def scan(channels=4, count=600, extent=(48, 40, 20), batch_size=2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    columns = [torch.randint(0, size, (count,), generator=generator) for size in (batch_size, *extent)]
    rows = torch.stack(columns, dim=1).unique(dim=0)
    features = torch.randn(len(rows), channels, generator=generator, dtype=dtype)
    return SparseTensor(features, rows, batch_size=batch_size)


def firing(network, x):
    """Statistics of the data, so that neurons fire as in a trained network; in evaluation mode."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.momentum = 1.0
    network.train()(x)
    return network.eval()


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_published_parameter_counts():
    assert parameters(UNet(4)) + parameters(Linear(256, 19)) == 20_049_683
    assert parameters(Voxel8x(4)) == 1_722_368


def test_counts_of_the_parts_of_the_unet():
    network = UNet(4)
    assert parameters(network.stem) == 228_480
    assert parameters(network.down) == 17_088_384
    assert parameters(network.up) == 2_727_936


def test_small_forms_are_small():
    assert parameters(UNet(4, size="small")) < 1_500_000
    assert parameters(Voxel8x(4, size="small")) < 700_000


@pytest.mark.parametrize("size", UNET_SIZES)
def test_the_unet_comes_back_to_its_sites(size):
    x = scan()
    network = firing(UNet(4, size=size), x)
    with FiringMonitor(network) as monitor:
        y = network(x)
    assert all(0.05 < f.nonzero < 0.5 for f in monitor.summary().values())
    assert y.sites is x.sites
    assert y.features.shape == (len(x), network.out_channels)


def test_every_parameter_of_the_small_unet_gets_a_gradient():
    network = UNet(4, size="small", batch_norm_momentum=0.1)
    network(scan()).features.square().sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert not silent
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters())


@pytest.mark.parametrize("size", VOXEL8X_SIZES)
def test_voxel8x_gives_spikes_and_the_membranes_of_its_stages(size):
    x = scan()
    network = firing(Voxel8x(4, size=size), x)
    result = network(x)
    assert result.spikes.tensor_stride == (8, 8, 16)
    assert result.spikes.features.shape[1] == network.out_channels
    levels = set(result.spikes.features.unique().tolist())
    assert {0.0, 1.0} <= levels <= {0.0, 1.0, 2.0, 3.0, 4.0}
    assert [m.tensor_stride for m in result.membranes] == [(2, 2, 2), (4, 4, 4), (8, 8, 8)]
    assert [m.features.shape[1] for m in result.membranes] == list(network.stage_channels)


def test_a_grid_bounds_the_sites_as_dense_convolutions_do():
    """41 x 40 x 41 sites: 21, 11, 6 along an odd axis, 20, 10, 5 along an even one; 2 in height at the end."""
    rows = torch.cartesian_prod(torch.arange(1), torch.arange(41), torch.arange(40), torch.arange(41))
    x = SparseTensor(torch.ones(len(rows), 1), rows, batch_size=1)
    bounded, free = Voxel8x(1, size="small", grid=(41, 40, 41)), Voxel8x(1, size="small")
    result = bounded.eval()(x)
    shapes = [len(m) for m in (*result.membranes, result.spikes)]
    assert shapes == [21 * 20 * 21, 11 * 10 * 11, 6 * 5 * 6, 6 * 5 * 2]
    assert result.spikes.coordinates.amax(dim=0).tolist() == [0, 40, 32, 16]
    assert len(free.eval()(x).membranes[0]) > shapes[0]


def test_a_unet_on_the_grid_of_its_input_is_one_on_a_grid_of_that_extent():
    x = scan(extent=(47, 39, 19))
    networks = [UNet(4, size="small", grid=grid) for grid in ("input", (47, 39, 19), (48, 48, 32), None)]
    for other in networks[1:]:
        other.load_state_dict(firing(networks[0], x).state_dict())
    bounded, same, wide, free = (n.eval()(x).features for n in networks)
    assert torch.equal(bounded, same)
    assert torch.equal(wide, free)
    assert not torch.equal(bounded, free)
    with pytest.raises(GraphError, match=r"down\.0\.0\.conv.*grid of fixed extent"):
        record(networks[0])


def test_a_sample_gets_what_it_gets_alone():
    x = scan(dtype=torch.float64)
    for made in (UNet(4, size="small"), Voxel8x(4, size="small")):
        network = firing(made.double(), x)
        result = network(x)
        both = result if isinstance(result, SparseTensor) else result.spikes
        for sample in range(2):
            chosen = x.coordinates[:, 0] == sample
            rows = x.coordinates[chosen].clone()
            rows[:, 0] = 0
            result = network(SparseTensor(x.features[chosen], rows, batch_size=1))
            alone = result if isinstance(result, SparseTensor) else result.spikes
            assert torch.allclose(both.features[both.coordinates[:, 0] == sample], alone.features, atol=1e-12)


def test_neurons_can_be_chosen_and_unknown_sizes_are_named():
    assert sum(isinstance(m, ILIF) for m in UNet(4, size="small", neuron="relu").modules()) == 0
    with pytest.raises(LayerError, match="unknown U-Net size 'large'; there are base, small"):
        UNet(4, size="large")
    with pytest.raises(LayerError, match="unknown Voxel8x size 'T'; there are base, small"):
        Voxel8x(4, size="T")
