"""Output sites over several layers, whose boxes are computed and not read."""

import numpy as np
import pytest
import torch

from oracles.dense_conv import covered_sites
from spikevox.encoding import CoordinateRangeError
from spikevox.layers import SparseConv3d, SparseTensor


def rows_in_box(generator, low, high, count=40):
    spatial = generator.integers(low, high, size=(count, 3))
    return np.unique(np.concatenate([generator.integers(0, 3, size=(count, 1)), spatial], axis=1), axis=0)


@pytest.mark.parametrize("seed", range(20))
def test_a_chain_of_layers_has_the_sites_of_brute_force_inside_the_box_that_is_known(generator, seed):
    generator = np.random.default_rng(seed)
    rows = rows_in_box(generator, *sorted(generator.choice(np.arange(-9, 10), size=2, replace=False)))
    x = SparseTensor(torch.ones(len(rows), 1), torch.from_numpy(rows), batch_size=3)
    for _ in range(3):
        kernel, stride, dilation = (tuple(int(v) for v in generator.integers(1, top, size=3)) for top in (4, 4, 3))
        padding = tuple(int(v) for v in generator.integers(0, 3, size=3))
        expected = covered_sites(x.coordinates.numpy(), x.tensor_stride, kernel, stride, padding, dilation)
        layer = SparseConv3d(1, 1, kernel_size=kernel, stride=stride, padding=padding, dilation=dilation)
        x = layer(x)
        assert np.array_equal(x.coordinates.numpy(), expected)
        assert np.all(expected >= x.sites.box.lower)
        assert np.all(expected <= x.sites.box.upper)


def test_no_output_may_be_left():
    x = SparseTensor(torch.ones(1, 1), torch.tensor([[0, 3, 3, 3]]), batch_size=1)
    y = SparseConv3d(1, 1, kernel_size=1, stride=2)(x)
    assert len(y) == 0
    assert len(SparseConv3d(1, 1, kernel_size=3, stride=2)(y)) == 0


def test_a_box_beyond_int32_is_an_error_only_where_a_site_is():
    x = SparseTensor(torch.ones(1, 1), torch.tensor([[0, 2**30, 0, 0]]), batch_size=1, backend="torch_ops")
    assert SparseConv3d(1, 1, kernel_size=1, padding=(2**30 - 1, 0, 0))(x).coordinates[0, 1] == 2**31 - 1
    with pytest.raises(CoordinateRangeError, match="leave the range of int32"):
        SparseConv3d(1, 1, kernel_size=1, padding=(2**30, 0, 0))(x)
    # An input at an odd number of steps beyond the border has no output under a kernel of one and a stride of two.
    assert len(SparseConv3d(1, 1, kernel_size=1, stride=2, padding=(2**30 + 1, 0, 0))(x)) == 0
