"""Training on with rounded weights."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from spikevox.layers import Linear, SubmanifoldConv3d
from spikevox.layers.deploy.fixed_point import int8_weights
from spikevox.tasks import cli
from spikevox.tasks.checkpoint import read_weights
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.quantisation import QuantisationAware, rounded_to_int8

TINY = Path(__file__).resolve().parent.parent / "robustness" / "tiny.py"


def test_weights_are_rounded_as_the_integers_hold_them(generator):
    weight = generator.normal(size=(27, 8, 5)) * [1, 1e-3, 1e3, 0, 1]
    (whole,), scale = int8_weights([weight])
    found = rounded_to_int8(torch.from_numpy(weight), 2)
    np.testing.assert_allclose(found.numpy(), whole * scale, rtol=1e-12, atol=1e-12)


@pytest.fixture
def runner():
    network = nn.Sequential(SubmanifoldConv3d(2, 3), Linear(3, 2))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    return SimpleNamespace(network=network, optim_wrapper=SimpleNamespace(optimizer=optimizer))


def test_steps_see_rounded_weights_and_change_exact_ones(runner):
    hook, layer = QuantisationAware(), runner.network[1]
    hook.before_train(runner)
    exact = layer.weight.detach().clone()
    x = torch.randn(7, 3)
    hook.before_train_iter(runner, 0)
    assert torch.equal(layer.weight, rounded_to_int8(exact, 0))
    assert not torch.equal(layer.weight, exact)
    layer(x).square().sum().backward()
    # The gradient at the rounded weights, applied to the exact ones.
    rounded = rounded_to_int8(exact, 0).requires_grad_()
    nn.functional.linear(x, rounded, layer.bias.detach()).square().sum().backward()
    runner.optim_wrapper.optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), exact - 0.5 * rounded.grad)
    hook.after_train_iter(runner, 0)
    torch.testing.assert_close(layer.weight.detach(), exact - 0.5 * rounded.grad)


def test_nothing_stays_rounded_without_a_step_or_after_the_training(runner):
    hook = QuantisationAware()
    exact = [parameter.detach().clone() for parameter in runner.network.parameters()]
    hook.before_train(runner)
    hook.before_train_iter(runner, 0)
    hook.after_train_iter(runner, 0)
    hook.before_train_iter(runner, 1)
    hook.after_train(runner)
    assert all(torch.equal(a, b) for a, b in zip(runner.network.parameters(), exact, strict=True))
    assert not runner.optim_wrapper.optimizer._optimizer_step_pre_hooks


def test_a_network_without_layers_to_round_is_told(runner):
    runner.network = nn.Sequential(nn.BatchNorm1d(3))
    with pytest.raises(ConfigError, match="Sequential has no sparse convolution and no linear layer"):
        QuantisationAware().before_train(runner)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")
def test_an_experiment_trains_with_it(tmp_path):
    config = tmp_path / "rounded.py"
    text = TINY.read_text().replace(
        "from spikevox", "from spikevox.tasks.quantisation import QuantisationAware\nfrom spikevox", 1
    )
    config.write_text(text + "\ncustom_hooks = [dict(type=QuantisationAware)]\n")
    for name, file in (("rounded", config), ("exact", TINY)):
        assert (
            cli.main(["train", str(file), "--work-dir", str(tmp_path / name), "--set", "train_cfg.max_epochs=1"]) == 0
        )
    rounded, exact = (read_weights(tmp_path / name / "weights.safetensors")[0] for name in ("rounded", "exact"))
    assert rounded.keys() == exact.keys()
    name = "encoder.stages.0.0.conv.weight"
    assert not torch.equal(rounded[name], exact[name])
    # The file holds what learned, not what was seen.
    assert not torch.equal(rounded[name], rounded_to_int8(rounded[name], 2))
