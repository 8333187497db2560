"""Kernel maps live as long as a tensor of theirs, and no longer: they are the larger part of a training step's memory."""

import gc
import weakref

import pytest
import torch

from spikevox.layers import LayerError, SparseTensor
from spikevox.layers.backbones import UNet

BACKENDS = ["minkowski", "torch_ops", pytest.param("compiled", marks=pytest.mark.compiled)]


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def cloud(backend):
    generator = torch.Generator().manual_seed(0)
    rows = torch.unique(torch.randint(0, 12, (400, 4), generator=generator) % torch.tensor([2, 12, 12, 12]), dim=0)
    return SparseTensor(torch.randn(len(rows), 3, generator=generator), rows, batch_size=2, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.usefixtures("no_collector")
def test_maps_go_with_the_last_tensor_of_a_training_step(backend):
    network = UNet(3, size="small")
    x = cloud(backend)
    maps = weakref.ref(x.maps)
    result = network(x)
    del x
    assert maps() is result.maps
    result.features.sum().backward()
    del result
    assert maps() is None


@pytest.mark.usefixtures("no_collector")
def test_sites_without_a_tensor_say_so():
    sites = cloud("torch_ops").sites
    with pytest.raises(LayerError, match="keep a tensor, not its sites"):
        SparseTensor.on_sites(torch.zeros(len(sites), 1), sites)
