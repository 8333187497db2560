"""The event engine gives back what a call takes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spikevox.layers import ILIF, BatchNorm, Linear, SparseConv3d, SparseTensor, SubmanifoldConv3d, event

STATUS = Path("/proc/self/status")
pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(not STATUS.exists(), reason="resident sizes are read as Linux tells them"),
]


def resident_bytes():
    return next(1024 * int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith("VmRSS"))


def test_a_thousand_calls_leave_nothing_behind():
    generator = np.random.default_rng(0)
    inputs = []
    for count in (40, 200, 900):
        rows = torch.from_numpy(np.unique(generator.integers(0, [2, 9, 9, 9], (count, 4)), axis=0)).int()
        inputs.append((rows, torch.rand(len(rows), 3)))
    network = nn.Sequential(
        SubmanifoldConv3d(3, 16), BatchNorm(16), ILIF(), SparseConv3d(16, 32, kernel_size=2, stride=2),
        BatchNorm(32), ILIF(), Linear(32, 8),
    )  # fmt: skip
    engine = event.compile(network)

    def call(number):
        coordinates, features = inputs[number % len(inputs)]
        engine.run(coordinates, features, 2)
        engine(SparseTensor(features, coordinates, batch_size=2, backend="compiled"))

    for number in range(100):
        call(number)
    before = resident_bytes()
    for number in range(900):
        call(number)
    # Sites and maps of a call are some 35 kB: kept from each of the 1,800 calls they would be 60 MB.
    assert resident_bytes() - before < 2e6
