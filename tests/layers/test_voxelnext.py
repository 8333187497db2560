"""VoxelNeXt's backbone: published count, an independent forward pass, the sum over heights, event-driven parts."""

import numpy as np
import pytest
import torch
from torch import nn

from oracles.voxelnext_numpy import Backbone
from spikevox.layers import SparseTensor, event
from spikevox.layers.backbones import VOXELNEXT_SIZES, HeightSum, VoxelNeXtBackbone
from spikevox.layers.errors import GraphError, LayerError

GRID = (37, 43, 21)


def scan(channels=5, count=900, extent=GRID, batch_size=2, dtype=torch.float64, backend=None):
    generator = torch.Generator().manual_seed(0)
    columns = [torch.randint(0, size, (count,), generator=generator) for size in (batch_size, *extent)]
    rows = torch.stack(columns, dim=1).unique(dim=0)
    features = torch.randn(len(rows), channels, generator=generator, dtype=dtype)
    return SparseTensor(features, rows, batch_size=batch_size, backend=backend)


def firing(network, x):
    """Statistics of the data, so that neurons fire as in a trained network; in evaluation mode."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.momentum = 1.0
    network.train()(x)
    return network.eval()


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_published_parameter_count():
    assert parameters(VoxelNeXtBackbone(5)) == 7_368_720
    assert parameters(VoxelNeXtBackbone(5, size="small")) == 1_183_696


@pytest.mark.parametrize("backend", ["minkowski", "torch_ops", "compiled"])
def test_an_independent_numpy_forward_gives_the_same_membrane(backend):
    """Three unlike sides of odd extent, so that axes, strides and borders cannot be taken for each other; in float64."""
    torch.manual_seed(0)
    x = scan(count=120, backend=backend)
    network = firing(VoxelNeXtBackbone(5, size="small", grid=GRID).double(), x)
    with torch.no_grad():
        result = network(x)
    oracle = Backbone({name: value.numpy() for name, value in network.state_dict().items()}, GRID)
    expected, places = oracle(x.features.numpy(), x.coordinates.numpy().astype(np.int64))
    assert all(0.02 < share < 0.9 for share in oracle.nonzero)
    assert network.out_shape == (5, 6)
    rows = result.coordinates.numpy()
    assert np.array_equal(np.unique(rows[:, 3]), [0])
    order = np.lexsort(rows.T[::-1])
    assert np.array_equal(rows[order][:, :3] // [1, 8, 8], places)
    assert np.allclose(result.features.numpy()[order], expected, atol=1e-9)


def test_heights_and_resolutions_are_summed_at_their_place():
    """By hand: two heights of one place, a coarse site on top of a fine one, and one where no fine site is."""
    fine = SparseTensor(
        torch.tensor([[1.0, 2], [3, 4], [5, 6]]),
        torch.tensor([[0, 8, 0, 0], [0, 8, 0, 16], [1, 0, 24, 8]]),
        batch_size=2,
        tensor_stride=8,
    )
    coarse = SparseTensor(
        torch.tensor([[10.0, 20], [30, 40]]),
        torch.tensor([[1, 0, 16, 16], [1, 32, 16, 0]]),
        batch_size=2,
        tensor_stride=16,
    )
    other = SparseTensor(torch.tensor([[100.0, 200]]), torch.tensor([[1, 32, 0, 0]]), batch_size=2, tensor_stride=32)
    result = HeightSum()([fine, coarse, other])
    found = dict(zip(map(tuple, result.coordinates.tolist()), result.features.tolist(), strict=True))
    assert found == {
        (0, 8, 0, 0): [4, 6],
        (1, 0, 16, 0): [10, 20],
        (1, 0, 24, 0): [5, 6],
        (1, 32, 0, 0): [100, 200],
        (1, 32, 16, 0): [30, 40],
    }
    assert result.tensor_stride == (8, 8, 8)
    # Nothing is written into the tensors that came in.
    assert fine.coordinates[1, 3] == 16
    with pytest.raises(LayerError, match="cannot be summed on one plane"):
        HeightSum()([coarse, fine])


def test_every_parameter_of_the_small_form_gets_a_gradient():
    torch.manual_seed(0)
    network = VoxelNeXtBackbone(5, size="small", batch_norm_momentum=0.1)
    x = scan(dtype=torch.float32)
    network(x).features.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert bool(parameter.grad.isfinite().all()), name
        assert bool(parameter.grad.abs().sum() > 0), name


def test_a_sample_gets_what_it_gets_alone_and_an_empty_one_nothing():
    x = scan(batch_size=2)
    network = firing(VoxelNeXtBackbone(5, size="small", grid=GRID).double(), x)
    shifted = x.coordinates.clone()
    shifted[:, 0] *= 2
    both = network(SparseTensor(x.features, shifted, batch_size=4))
    assert both.batch_size == 4
    assert both.empty_samples.tolist() == [False, True, False, True]
    for sample in range(2):
        rows = x.coordinates[x.coordinates[:, 0] == sample].clone()
        rows[:, 0] = 0
        alone = network(SparseTensor(x.features[x.coordinates[:, 0] == sample], rows, batch_size=1))
        mine = both.coordinates[:, 0] == 2 * sample
        assert torch.equal(both.coordinates[mine, 1:], alone.coordinates[:, 1:])
        assert torch.allclose(both.features[mine], alone.features, atol=1e-12)


def test_no_site_at_all_gives_none():
    network = VoxelNeXtBackbone(5, size="small").eval()
    empty = SparseTensor(torch.zeros(0, 5), torch.zeros(0, 4, dtype=torch.int64), batch_size=2)
    assert network(empty).features.shape == (0, 64)


def test_its_two_parts_run_event_by_event_and_the_whole_is_refused_by_name():
    x = scan(extent=(40, 40, 16), backend="compiled")
    network = firing(VoxelNeXtBackbone(5, size="small").double(), x)
    with torch.no_grad():
        expected = network(x)
        membranes = event.compile(network.volume)(x).output
        flat = network.merge(membranes)
        found = event.compile(network.plane, example=flat)(flat).output
    order = np.lexsort(found.coordinates.numpy().T[::-1])
    wanted = np.lexsort(expected.coordinates.numpy().T[::-1])
    assert np.array_equal(found.coordinates.numpy()[order], expected.coordinates.numpy()[wanted])
    assert torch.allclose(found.features[order], expected.features[wanted], atol=1e-9)
    with pytest.raises(GraphError, match=r"merge \(HeightSum\)"):
        event.compile(network)


def test_options_that_do_not_fit_are_named():
    with pytest.raises(LayerError, match="unknown VoxelNeXt size 'T'; there are base, small"):
        VoxelNeXtBackbone(5, size="T")
    assert VoxelNeXtBackbone(5, grid=(1440, 1440, 41)).out_shape == (180, 180)
    assert set(VOXELNEXT_SIZES) == {"base", "small"}
