"""Networks of MinkowskiEngine's modules, and of theirs and ours, get a full report or an error that names a module."""

import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

if importlib.util.find_spec("MinkowskiEngine") is None:
    pytest.skip("MinkowskiEngine is not installed", allow_module_level=True)

from spikevox.layers import ILIF, BasicBlock, BatchNorm, GlobalMeanPool, Linear, SparseTensor, SubmanifoldConv3d
from spikevox.layers.backends import minkowski
from spikevox.layers.energy import count_operations
from spikevox.layers.errors import EnergyError

ME = minkowski.load()


def cloud(channels=3):
    generator = torch.Generator().manual_seed(0)
    rows = torch.unique(torch.randint(0, 8, (150, 4), generator=generator) % torch.tensor([2, 8, 8, 8]), dim=0)
    return torch.randn(len(rows), channels, generator=generator), rows.int()


def pairs_by_hand(coordinates, offsets):
    sites = {tuple(row) for row in coordinates.tolist()}
    return sum((b, x + i, y + j, z + k) in sites for b, x, y, z in sites for i, j, k in offsets)


CUBE = [(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]


class UNet(nn.Module):
    """Theirs but for neurons and a block."""

    def __init__(self, spike=ILIF):
        super().__init__()
        self.stem = nn.Sequential(ME.MinkowskiConvolution(3, 8, kernel_size=3, dimension=3), ME.MinkowskiBatchNorm(8))
        self.spike = spike()
        self.down = ME.MinkowskiConvolution(8, 8, kernel_size=2, stride=2, dimension=3)
        self.block = BasicBlock(8)
        self.up = ME.MinkowskiConvolutionTranspose(8, 8, kernel_size=2, stride=2, dimension=3)
        self.last = ME.MinkowskiConvolution(16, 4, kernel_size=1, bias=True, dimension=3)

    def forward(self, x):
        skip = self.stem(x)
        coarse = self.block(self.down(self.spike(skip)))
        return self.last(ME.cat(self.up(self.spike(coarse)), skip))


def test_a_mixed_network_gets_a_full_report():
    torch.manual_seed(0)
    network = UNet()
    features, rows = cloud()
    counts = count_operations(network, ME.SparseTensor(features, rows))
    assert counts.samples == 2
    by_name = {layer.name: layer for layer in counts.layers}
    sites = len(rows)
    coarse = np.unique(np.column_stack([rows[:, 0], rows[:, 1:] // 2]), axis=0)
    stem = by_name["stem.0"]
    assert (stem.reads, stem.pairs) == ("reals", pairs_by_hand(rows, CUBE))
    assert stem.macs == stem.pairs * 3 * 8
    assert by_name["stem.1.bn"].folded
    down, up, last = by_name["down"], by_name["up"], by_name["last"]
    assert (down.reads, down.pairs, down.out_rows) == ("spikes", sites, len(coarse))
    assert (up.reads, up.pairs, up.in_rows) == ("spikes", sites, len(coarse))
    assert (last.reads, last.pairs, last.additions) == ("reals", sites, 4 * sites)
    block = by_name["block.first.1"]
    assert (block.reads, block.pairs) == ("spikes", pairs_by_hand(coarse, CUBE))
    assert 0 < down.acs < down.macs
    assert [layer.kind for layer in counts.layers].count("sum") == 2


def test_their_layers_count_as_ours_do():
    torch.manual_seed(0)
    theirs = nn.Sequential(
        ME.MinkowskiConvolution(3, 8, kernel_size=3, dimension=3),
        ME.MinkowskiBatchNorm(8),
        ME.MinkowskiReLU(),
        ME.MinkowskiLinear(8, 5),
        ME.MinkowskiGlobalAvgPooling(),
    )
    ours = nn.Sequential(SubmanifoldConv3d(3, 8), BatchNorm(8), nn.Identity(), Linear(8, 5), GlobalMeanPool())
    from spikevox.layers import ReLU

    ours[2] = ReLU()
    ours[0].weight.data = theirs[0].kernel.data
    features, rows = cloud()
    ours[1].eps = theirs[1].bn.eps
    one = count_operations(theirs, ME.SparseTensor(features, rows))
    other = count_operations(ours, SparseTensor(features, rows))
    assert len(one.layers) == len(other.layers) == 5
    for a, b in zip(one.layers, other.layers, strict=True):
        for name in ("pairs", "macs", "event_macs", "additions", "multiplications", "membrane_updates", "folded"):
            assert getattr(a, name) == getattr(b, name), (a, b)


def test_pools_count_pairs():
    features, rows = cloud()
    network = nn.Sequential(
        ME.MinkowskiMaxPooling(kernel_size=2, stride=2, dimension=3),
        ME.MinkowskiAvgPooling(kernel_size=3, dimension=3),
        ME.MinkowskiGlobalMaxPooling(),
    )
    counts = count_operations(network, ME.SparseTensor(features, rows))
    coarse = np.unique(np.column_stack([rows[:, 0], rows[:, 1:] // 2]), axis=0)
    wanted = [3 * len(rows), 3 * pairs_by_hand(coarse, CUBE), 3 * len(coarse)]
    assert [layer.additions for layer in counts.layers] == wanted


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (lambda: ME.MinkowskiSigmoid(), r"2\.module|2 \(MinkowskiSigmoid\)"),
        (lambda: ME.MinkowskiInstanceNorm(8), r"2 \(MinkowskiInstanceNorm\)"),
    ],
)
def test_a_module_of_theirs_without_a_counter_is_named(module, name):
    network = nn.Sequential(
        ME.MinkowskiConvolution(3, 8, kernel_size=3, dimension=3),
        ME.MinkowskiConvolution(8, 8, kernel_size=2, stride=2, dimension=3),
        module(),
    )
    features, rows = cloud()
    with pytest.raises(EnergyError, match=rf"^({name})"):
        count_operations(network, ME.SparseTensor(features, rows))


def test_a_functional_convolution_of_theirs_is_found():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = ME.MinkowskiConvolution(3, 8, kernel_size=3, dimension=3)
            self.inner = ME.MinkowskiConvolution(8, 8, kernel_size=3, dimension=3)

        def forward(self, x):
            x = self.conv(x)
            # The module itself is not called.
            return ME.MinkowskiConvolution.forward(self.inner, x)

    features, rows = cloud()
    with pytest.raises(EnergyError, match=r"^Own: its (output|forward pass)"):
        count_operations(Own(), ME.SparseTensor(features, rows))
