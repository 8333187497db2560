"""What a network says of a sample, to the last bit, does not hang on the other samples of its batch."""

import numpy as np
import pytest
import torch
from torch import nn

from spikevox.layers import SparseConv3d, SparseTensor, SubmanifoldConv3d, event, native
from spikevox.layers.backbones import UNet

pytestmark = pytest.mark.compiled
THERE = [
    name
    for level, name in enumerate(native.SIMD_LEVELS)
    if native.available() and native.library().spikevox_simd_name(level)
]


def samples():
    """Two large clouds and many small ones, among them rods of which one or two coarse sites are left: tiles of the batch
    hold several clouds, whole or cut, and in a tile of one alone it happens that one kernel offset serves every row."""
    generator = np.random.default_rng(0)
    shapes = [
        (300, (9, 9, 9)),
        (700, (9, 9, 9)),
        *((60, (4, 3, 3)) for _ in range(5)),
        *((12, (2, 1, 1)) for _ in range(30)),
    ]
    for count, extent in shapes:
        sites = np.unique(generator.integers(0, 2 * np.array(extent), (count, 3)) - 8, axis=0)
        yield torch.from_numpy(sites), torch.from_numpy(generator.normal(size=(len(sites), 3)).astype(np.float32))


class Strided(nn.Sequential):
    """Real values into a strided convolution, whose sums are other bits in another order."""

    def __init__(self, in_channels):
        super().__init__(
            SparseConv3d(in_channels, 16, kernel_size=2, stride=2), SubmanifoldConv3d(16, 16, kernel_size=3)
        )


def tensor(clouds):
    rows = [torch.cat([torch.full((len(sites), 1), i), sites], dim=1) for i, (sites, _) in enumerate(clouds)]
    features = torch.cat([values for _, values in clouds])
    return SparseTensor(features, torch.cat(rows), batch_size=len(clouds), backend="compiled")


@pytest.mark.parametrize("simd", THERE)
@pytest.mark.parametrize("make", [lambda: UNet(3, size="small"), lambda: Strided(3)], ids=["unet", "strided"])
@pytest.mark.parametrize("compiled", [False, True], ids=["layers", "event"])
def test_a_sample_alone_and_in_a_batch_give_the_same_bits(simd, make, compiled, monkeypatch):
    monkeypatch.setenv("SPIKEVOX_SIMD", simd)
    torch.manual_seed(0)
    clouds = list(samples())
    # Neurons in mid-range: normalisations as after a training.
    network = make()
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
    parts = together.features.split([len(result) for result in alone])
    assert together.features.count_nonzero() > together.features.numel() / 2
    assert all(torch.equal(part, result.features) for part, result in zip(parts, alone, strict=True))
