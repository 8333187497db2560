"""Memory over many training steps."""

from pathlib import Path

import pytest
import torch

from spikevox.encoding import collate
from spikevox.layers.backbones import Encoder
from spikevox.tasks.classification import Classifier
from spikevox.tasks.datasets import GeneratedShapes

pytestmark = pytest.mark.slow


def resident_mebibytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def test_ten_thousand_steps_do_not_grow(capsys):
    data = GeneratedShapes(count=20, grid={"voxel_size": 0.4}, scanner={"points": 64})
    torch.manual_seed(0)
    network = Classifier(Encoder("T", 3, width=0.25, batch_norm_momentum=0.1), 10)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    start = 0.0
    for step in range(10_000):
        batch = collate([data[((step + i) % 20, step)] for i in range(2)])
        optimiser.zero_grad()
        network(*batch, mode="loss")["loss"].backward()
        optimiser.step()
        if step == 999:
            start = resident_mebibytes()
    end = resident_mebibytes()
    with capsys.disabled():
        print(f"\nresident after step 1,000: {start:.1f} MiB, after 10,000: {end:.1f} MiB")
    assert abs(end - start) < 0.05 * start
