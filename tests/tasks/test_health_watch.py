"""The runner tells of ill neurons, once a validation, and of healthy ones nothing."""

import json
import logging
from pathlib import Path

import pytest
import torch

from spikevox.layers import BatchNorm
from spikevox.tasks import build_runner, load_config

TINY = Path(__file__).resolve().parent.parent / "robustness" / "tiny.py"
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")


def train(folder, spoil=lambda network: None):
    runner = build_runner(load_config(TINY, ["train_cfg.max_epochs=1"]), folder)
    with torch.no_grad():
        spoil(runner.network)
    runner.train()
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "findings" in line]


def kill_first_layer(network):
    next(m for m in network.modules() if isinstance(m, BatchNorm)).bias.fill_(-100.0)


def test_dead_channels_are_told_with_what_to_try(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="spikevox"):
        (record,) = train(tmp_path, kill_first_layer)
    said = [r.getMessage() for r in caplog.records if r.getMessage().startswith("neurons, dead: ")]
    assert len(said) == 1
    assert "channels never fired in" in said[0]
    assert "Lower the learning rate" in said[0]
    dead = [finding for finding in record["findings"] if finding["kind"] == "dead"]
    assert dead[0]["value"] == 1
    assert dead[0]["layer"] in said[0]
    assert record["step"] == 5
    assert {"threshold", "text", "meaning", "remedy"} <= set(dead[0])


def learn_statistics_at_once(network):
    for norm in (m for m in network.modules() if isinstance(m, BatchNorm)):
        norm.momentum = 0.9


@pytest.mark.slow
def test_healthy_neurons_are_not_told_of(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="spikevox"):
        assert train(tmp_path, learn_statistics_at_once) == []
    assert not [r for r in caplog.records if r.getMessage().startswith("neurons, ")]
