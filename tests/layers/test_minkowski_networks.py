"""Our layers inside networks written in plain MinkowskiEngine."""

import os
import sys
import time

import pytest
import torch
from torch import nn

from spikevox.layers import ILIF, BackendError, BasicBlock, BatchNorm, SparseConv3d, SubmanifoldConv3d, integer_spike
from spikevox.layers.backends import minkowski

ME = pytest.importorskip("spikevox.layers.backends.minkowski").load()


def cloud(channels=3):
    generator = torch.Generator().manual_seed(0)
    rows = torch.unique(torch.randint(0, 8, (150, 4), generator=generator) % torch.tensor([2, 8, 8, 8]), dim=0)
    features = torch.randn(len(rows), channels, generator=generator, dtype=torch.float64)
    return features.requires_grad_(), rows.int()


class PlainSpike(nn.Module):
    """The reference's neuron: plain MinkowskiEngine tensors, plain torch."""

    def forward(self, x):
        return ME.SparseTensor(
            integer_spike(x.F, 4), coordinate_map_key=x.coordinate_map_key, coordinate_manager=x.coordinate_manager
        )


class PlainBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()

        def stage():
            return [
                PlainSpike(),
                ME.MinkowskiConvolution(channels, channels, kernel_size=3, dimension=3),
                ME.MinkowskiBatchNorm(channels, eps=1e-3, momentum=0.01),
            ]

        self.first, self.second = nn.Sequential(*stage()), nn.Sequential(*stage(), *stage())

    def forward(self, x):
        x = self.first(x) + x
        return self.second(x) + x


class ResNet(nn.Module):
    def __init__(self, spike, block):
        super().__init__()
        self.stem = nn.Sequential(ME.MinkowskiConvolution(3, 8, kernel_size=3, dimension=3), ME.MinkowskiBatchNorm(8))
        self.spike = spike()
        self.down = ME.MinkowskiConvolution(8, 8, kernel_size=2, stride=2, dimension=3)
        self.block = block(8)
        self.last = ME.MinkowskiConvolution(8, 4, kernel_size=1, dimension=3)

    def forward(self, x):
        return self.last(self.block(self.down(self.spike(self.stem(x)))))


class UNet(ResNet):
    def __init__(self, spike, block):
        super().__init__(spike, block)
        self.up = ME.MinkowskiConvolutionTranspose(8, 8, kernel_size=2, stride=2, dimension=3)

    def forward(self, x):
        skip = self.stem(x)
        coarse = self.block(self.down(self.spike(skip)))
        up = self.up(self.spike(coarse), skip.coordinate_map_key)
        return self.last(up + skip)


def copy_weights(source, target):
    for (_, ours), (_, theirs) in zip(target.named_parameters(), source.named_parameters(), strict=True):
        ours.data.copy_(theirs.data.reshape(ours.shape))


@pytest.mark.parametrize("network", [ResNet, UNet])
def test_spiking_parts_in_a_minkowski_network_change_nothing_but_the_neuron(network):
    torch.manual_seed(0)
    plain = network(PlainSpike, PlainBlock).double()
    mixed = network(ILIF, BasicBlock).double()
    copy_weights(plain, mixed)
    results = []
    for net in (plain, mixed):
        features, rows = cloud()
        y = net(ME.SparseTensor(features, rows))
        assert isinstance(y, ME.SparseTensor)
        y.F.square().sum().backward()
        results.append((y, [features.grad, *[p.grad.flatten() for p in net.parameters()]]))
    (one, one_gradients), (other, other_gradients) = results
    assert one.coordinate_map_key == other.coordinate_map_key
    assert torch.equal(one.C, other.C)
    # float64: a spike that differed would differ by 1, rounding of the normalisation by 1e-16.
    assert torch.allclose(one.F, other.F, atol=1e-12)
    for a, b in zip(one_gradients, other_gradients, strict=True):
        assert torch.allclose(a, b, atol=1e-12)


def test_a_minkowski_tensor_passes_without_copies():
    features, rows = cloud()
    x = ME.SparseTensor(features, rows)
    y = ILIF()(BatchNorm(3).double()(x))
    assert y.coordinate_manager is x.coordinate_manager
    assert y.coordinate_map_key == x.coordinate_map_key
    conv = SparseConv3d(3, 4, kernel_size=2, stride=2).double()
    plain = ME.MinkowskiConvolution(3, 4, kernel_size=2, stride=2, dimension=3).double()
    plain.kernel.data = conv.weight.data
    assert conv(x).coordinate_map_key == plain(x).coordinate_map_key
    assert torch.equal(conv(x).F, plain(x).F)


def test_strided_sites_that_minkowski_does_not_know_are_inserted():
    features, rows = cloud()
    x = ME.SparseTensor(features, rows)
    y = SparseConv3d(3, 4, kernel_size=3, stride=2).double()(x)
    assert isinstance(y, ME.SparseTensor)
    after = ME.MinkowskiConvolution(4, 2, kernel_size=3, dimension=3).double()(y)
    assert len(after.F) == len(y.F)


def test_the_shims_are_taken_back():
    import collections

    assert not hasattr(collections, "Sequence")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_forked_worker_gets_a_message_within_seconds():
    code = """
import os, sys, torch
torch.set_num_threads(2)
from spikevox.layers import BackendError, SparseTensor, SubmanifoldConv3d
rows = torch.tensor([[0, i, j, 0] for i in range(40) for j in range(40)])
conv = SubmanifoldConv3d(8, 8)
conv(SparseTensor(torch.ones(1600, 8), rows, backend="minkowski"))
child = os.fork()
if child == 0:
    try:
        conv(SparseTensor(torch.ones(1600, 8), rows, backend="minkowski"))
    except BackendError as error:
        os._exit(7 if "multiprocessing_context='spawn'" in str(error) else 8)
    os._exit(9)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    import subprocess

    start = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60, env=environment, check=False)
    assert result.returncode == 7
    assert time.monotonic() - start < 30


def test_without_minkowski_the_error_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "MinkowskiEngine", None)
    minkowski.load.cache_clear()
    try:
        with pytest.raises(BackendError, match=r"tools/install_minkowski\.sh, or use the backend 'torch_ops'"):
            minkowski.load()
    finally:
        minkowski.load.cache_clear()


def test_kernel_regions_other_than_cubes_cannot_be_asked_for():
    with pytest.raises(TypeError, match="unexpected keyword argument 'region_type'"):
        SubmanifoldConv3d(3, 3, region_type="cross")
