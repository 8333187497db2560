"""Networks and clouds of these tests: statistics of the data, so that neurons fire as in a trained network."""

import numpy as np
import torch
from torch import nn

from layers.networks import Recogniser
from spikevox.layers import Linear, SparseTensor
from spikevox.layers.backbones import Encoder, UNet, Voxel8x
from spikevox.layers.sparse_tensor import features_of


def cloud(channels=3, count=450, extent=11, samples=3, batch_size=4, dtype=torch.float64, seed=0, time_steps=None):
    """Negative coordinates too; the last sample is empty."""
    generator = np.random.default_rng(seed)
    rows = np.unique(generator.integers(0, [samples, extent, extent, extent], (count, 4)) - [0, 4, 4, 4], axis=0)
    shape = (len(rows), channels) if time_steps is None else (time_steps, len(rows), channels)
    features = torch.from_numpy(generator.normal(size=shape)).to(dtype)
    options = {"batch_size": batch_size, "time_steps": time_steps, "backend": "torch_ops"}
    return SparseTensor(features, torch.from_numpy(rows), **options)


NETWORKS = {
    "encoder": lambda: Recogniser(Encoder("T", 3)),
    "wide": lambda: Encoder("S", 3, width=0.5),
    "u-net": lambda: nn.Sequential(UNet(3, size="small"), Linear(64, 19)),
    "detection backbone": lambda: Voxel8x(3, size="small", grid=(9, 9, 33)),
}


def outputs_of(network, kinds, *arguments, **options):
    """What each layer of some kinds gives, by name and call; and the result."""
    found = {}

    def keep(name):
        return lambda _module, _inputs, y: found.setdefault(name, []).append(features_of(y))

    hooks = [m.register_forward_hook(keep(name)) for name, m in network.named_modules() if isinstance(m, kinds)]
    with torch.no_grad():
        result = network(*arguments, **options)
    for hook in hooks:
        hook.remove()
    return found, result
