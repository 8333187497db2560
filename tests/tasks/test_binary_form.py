"""Every shipped network and its binary form fire the same spikes, in float64 and on int8 weights, on its own test data."""

from pathlib import Path

import pytest
import torch

from layers.deploy.networks import outputs_of
from spikevox.encoding import collate
from spikevox.layers import Neuron
from spikevox.layers.deploy import to_binary
from spikevox.layers.deploy.binary import OnEachStep
from spikevox.tasks.build import build
from spikevox.tasks.config import load_config
from spikevox.tasks.predictor import load_described
from spikevox.tasks.session import test_options as options_of_test

APPS = Path(__file__).resolve().parents[2] / "apps"
SHIPPED = sorted(path.relative_to(APPS) for path in APPS.glob("*/weights/*.safetensors"))
NEEDED = {"modelnet": "modelnet10", "pandaset": "pandaset"}


@pytest.fixture
def network_and_batch(request, data):
    path = request.param
    app = path.parts[0]
    if app in NEEDED:
        data(NEEDED[app])
    dataset = build(options_of_test(load_config(APPS / app / f"{path.stem}.py", [])))
    network = load_described(APPS / path)[0].double().eval()
    network.backend = "torch_ops"
    sample = dataset[0]
    batch = collate([sample]) if hasattr(sample, "coordinates") else dataset.validation_batch([sample])
    return network, batch


def assert_equal_spikes(network, batch):
    integers, expected = outputs_of(network, Neuron, *batch, mode="tensor")
    binary, found = outputs_of(to_binary(network), Neuron, *batch, mode="tensor")
    assert list(integers) == list(binary)
    compared = 0
    for name, calls in integers.items():
        for wanted, spikes in zip(calls, binary[name], strict=True):
            assert len(spikes.steps) == 4
            assert all(bool(((step == 0) | (step == 1)).all()) for step in spikes.steps), name
            assert torch.equal(spikes.integers(), wanted), name
            compared += int((wanted > 0).sum())
    assert compared > 1000
    return expected, found


def of_slow(path):
    return path if path.parts[0] == "modelnet" else pytest.param(path, marks=pytest.mark.slow)


def test_some_networks_are_shipped():
    assert len(SHIPPED) >= 8


@pytest.mark.parametrize("network_and_batch", [of_slow(path) for path in SHIPPED], indirect=True, ids=str)
def test_the_same_spikes_in_float64(network_and_batch):
    assert_equal_spikes(*network_and_batch)


@pytest.mark.parametrize("network_and_batch", [of_slow(path) for path in SHIPPED], indirect=True, ids=str)
def test_the_same_bits_on_int8_weights(network_and_batch):
    """Sums of whole numbers are exact in any order, so what comes out is equal too, down to the last bit."""
    network, batch = network_and_batch
    reading = [name for name, module in to_binary(network).named_modules() if isinstance(module, OnEachStep)]
    for name in reading:
        layer = network.get_submodule(name)
        if not hasattr(layer, "weight"):
            continue
        # A power of two, so that what is no whole number is one times a common factor, and the sums stay exact.
        step = 2.0 ** torch.ceil(torch.log2(layer.weight.abs().max() / 127))
        layer.weight.data = step * (layer.weight / step).round()
        assert (layer.weight / step).abs().max() <= 127
        if layer.bias is not None:
            layer.bias.data = step * (layer.bias / step).round()
    expected, found = assert_equal_spikes(network, batch)
    pairs = list(zip(tensors(expected), tensors(found), strict=True))
    assert pairs
    assert all(torch.equal(one, other) for one, other in pairs)


def tensors(result):
    if isinstance(result, torch.Tensor):
        return [result]
    if hasattr(result, "features"):
        return [result.features]
    if isinstance(result, list | tuple):
        return [one for part in result for one in tensors(part)]
    return []
