"""What a network says of a sample, to the last bit, does not hang on the other samples of its batch."""

import numpy as np
import pytest
import torch

from spikevox.layers import SparseTensor, event, native
from spikevox.layers.backbones import UNet

pytestmark = pytest.mark.compiled
THERE = [
    name
    for level, name in enumerate(native.SIMD_LEVELS)
    if native.available() and native.library().spikevox_simd_name(level)
]


def samples():
    """Clouds of 1 to 700 sites: tiles of the batch hold several of them, whole or cut."""
    generator = np.random.default_rng(0)
    for count in (300, 1, 40, 700, 7, 90):
        sites = np.unique(generator.integers(-9, 9, (count, 3)), axis=0)
        yield torch.from_numpy(sites), torch.from_numpy(generator.normal(size=(len(sites), 3)).astype(np.float32))


def tensor(clouds):
    rows = [torch.cat([torch.full((len(sites), 1), i), sites], dim=1) for i, (sites, _) in enumerate(clouds)]
    features = torch.cat([values for _, values in clouds])
    return SparseTensor(features, torch.cat(rows), batch_size=len(clouds), backend="compiled")


@pytest.mark.parametrize("simd", THERE)
@pytest.mark.parametrize("compiled", [False, True], ids=["layers", "event"])
def test_a_sample_alone_and_in_a_batch_give_the_same_bits(simd, compiled, monkeypatch):
    monkeypatch.setenv("SPIKEVOX_SIMD", simd)
    torch.manual_seed(0)
    clouds = list(samples())
    # Neurons in mid-range: normalisations as after a training.
    network = UNet(3, size="small")
    with torch.no_grad():
        for _ in range(5):
            network(tensor(clouds))
    network.eval()
    run = event.compile(network) if compiled else network
    with torch.inference_mode():
        together = run(tensor(clouds))
        alone = [run(tensor([cloud])) for cloud in clouds]
    if compiled:
        together, alone = together.output, [result.output for result in alone]
    parts = together.features.split([len(sites) for sites, _ in clouds])
    assert together.features.count_nonzero() > together.features.numel() / 2
    assert all(torch.equal(part, result.features) for part, result in zip(parts, alone, strict=True))
