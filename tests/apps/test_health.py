"""The shipped networks are told nothing of by the monitors of their neurons, trained and evaluated on their own data."""

import tomllib
from pathlib import Path

import pytest
import torch

from spikevox.encoding import collate
from spikevox.layers import BatchNorm, HealthMonitor, reset_states
from spikevox.tasks.build import build
from spikevox.tasks.config import load_config
from spikevox.tasks.session import load_network, split_options

APPS = Path(__file__).resolve().parents[2] / "apps"
NEEDS = {"modelnet": "modelnet10"}
QUICK = {"modelnet/classify_t", "modelnet/classify_t_sparse"}
# Shapes of all classes; a scan has sites enough by itself.
SAMPLES = {"modelnet": 24}


def shipped():
    """Experiment of each file of weights, the first that is scored with it."""
    found = {}
    for path in sorted(APPS.glob("*/expected.toml")):
        for name, table in tomllib.loads(path.read_text(encoding="utf-8")).items():
            if "weights" in table:
                found.setdefault(path.parent / table["weights"], path.parent / f"{name}.py")
    return found


def cases():
    for weights, experiment in shipped().items():
        name = f"{experiment.parent.name}/{experiment.stem}"
        yield pytest.param(experiment, weights, id=name, marks=[] if name in QUICK else [pytest.mark.slow])


def test_every_shipped_network_is_looked_at():
    assert set(shipped()) == set(APPS.glob("*/weights/*.safetensors"))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("experiment", "weights"), list(cases()))
def test_a_shipped_network_is_healthy(experiment, weights, data):
    folder = experiment.parent.name
    if folder != "synthetic":
        data(NEEDS.get(folder, folder))
    config = load_config(experiment, [])
    dataset = build(split_options(config, "test"))
    network, _ = load_network(config, weights, dataset)
    count = SAMPLES.get(folder, 1)
    # Far apart: neighbours are of one class.
    rows = [place * len(dataset) // count for place in range(count)]
    batch = type(dataset).training_batch(
        [dataset.cloud(row) if hasattr(dataset, "cloud") else dataset[row] for row in rows]
    )
    for norm in (module for module in network.modules() if isinstance(module, BatchNorm)):
        # The running statistics stay those that were trained.
        norm.momentum = 0.0
    with HealthMonitor(network) as monitor:
        reset_states(network)
        losses = network.train()(*batch, mode="loss")
        sum(value for name, value in losses.items() if "loss" in name).backward()
        reset_states(network)
        with torch.no_grad():
            voxels = [
                sample.voxels if hasattr(sample, "voxels") else sample for sample in (dataset[row] for row in rows)
            ]
            network.eval()(*collate(voxels), mode="predict")
    assert len(monitor.layers()) == len(monitor.layers(training=True)) > 3
    assert [str(finding) for finding in monitor.findings()] == []
