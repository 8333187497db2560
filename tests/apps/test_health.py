"""The shipped networks are told nothing of by the monitors of their neurons, trained and evaluated on their own data."""

from pathlib import Path

import pytest
import torch

from spikevox.encoding import collate
from spikevox.layers import BatchNorm, HealthMonitor, reset_states
from spikevox.tasks.build import build
from spikevox.tasks.config import load_config
from spikevox.tasks.session import load_network, split_options

APPS = Path(__file__).resolve().parents[2] / "apps"
# Experiment, weights, samples of the test split, folder of the data.
QUICK = [
    ("modelnet/classify_t.py", "classify_t", 24, "modelnet10"),
    ("modelnet/classify_t_sparse.py", "classify_t_sparse", 24, "modelnet10"),
    ("synthetic/segment.py", "segment", 1, None),
]
SLOW = [
    ("synthetic/detect.py", "detect", 1, None),
    ("synthetic/detect_two_stage.py", "detect_two_stage", 1, None),
    ("pandaset/segment.py", "segment", 1, "pandaset"),
    ("pandaset/segment_place.py", "segment_place", 1, "pandaset"),
    ("pandaset/detect.py", "detect", 1, "pandaset"),
]
CASES = [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)]


def test_every_shipped_network_is_looked_at():
    looked_at = {
        str(Path(config).parent / "weights" / f"{weights}.safetensors") for config, weights, *_ in QUICK + SLOW
    }
    assert looked_at == {str(path.relative_to(APPS)) for path in APPS.glob("*/weights/*.safetensors")}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("experiment", "weights", "count", "folder"), CASES)
def test_a_shipped_network_is_healthy(experiment, weights, count, folder, data):
    if folder is not None:
        data(folder)
    config = load_config(APPS / experiment, [])
    dataset = build(split_options(config, "test"))
    network, _ = load_network(config, APPS / Path(experiment).parent / "weights" / f"{weights}.safetensors", dataset)
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
