"""E-3DSNN's segmentation U-Net and head on spconv, from a dict of weights; imports nothing of spikevox."""

import logging
import warnings
from importlib import import_module

import torch


class Network:
    """Forward pass in evaluation mode on weights by the names of a state dict; one thread.

    Every level of the way down is half as wide: with extents that are multiples of 16 no site lies beyond a level's end.
    """

    def __init__(self, weights, levels=4):
        # torch.fx, which spconv imports for int8 kernels that are not used here, warns.
        logging.getLogger("torch.fx").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.engine = import_module("spconv.pytorch")
        self.weights = weights
        self.levels = levels
        self.used = set()
        self.spikes = []

    def weight(self, name):
        self.used.add(name)
        return self.weights[name]

    def conv(self, x, name, kind, side, **options):
        weight = self.weight(f"{name}.weight")
        layer = getattr(self.engine, kind)(*weight.shape[1:], side, bias=False, **options).to(weight.dtype).eval()
        # Rows of the kernel: the first axis runs fastest. There: (out, first, second, third, in).
        layer.weight.data = weight.reshape(side, side, side, *weight.shape[1:]).permute(4, 2, 1, 0, 3).contiguous()
        return layer(x)

    def linear(self, x, name):
        return x.replace_feature(x.features @ self.weight(f"{name}.weight").T + self.weight(f"{name}.bias"))

    def norm(self, x, name):
        mean, variance, scale, bias = (
            self.weight(f"{name}.{part}") for part in ("running_mean", "running_var", "weight", "bias")
        )
        return x.replace_feature((x.features - mean) / torch.sqrt(variance + 1e-3) * scale + bias)

    def fire(self, x, stride):
        spikes = torch.floor(x.features.clamp(0, self.levels) + 0.5)
        sites = x.indices * torch.tensor([1, stride, stride, stride], dtype=torch.int32)
        self.spikes.append((sites, spikes.to(torch.uint8)))
        return x.replace_feature(spikes)

    def submanifold(self, x, name, stride):
        return self.conv(x, name, "SubMConv3d", 3, indice_key=f"sites {stride}")

    def spiking_conv(self, x, name, first, stride):
        x = self.submanifold(self.fire(x, stride), f"{name}.{first + 1}", stride)
        return self.norm(x, f"{name}.{first + 2}")

    def stem(self, x):
        name = "backbone.stem.layers"
        x = self.norm(self.submanifold(x, f"{name}.0", 1), f"{name}.1")
        return self.spiking_conv(self.spiking_conv(x, name, 2, 1), name, 5, 1)

    def block(self, x, name, stride):
        f = add(self.spiking_conv(x, f"{name}.first", 0, stride), x)
        inner = self.spiking_conv(f, f"{name}.second", 0, stride)
        return add(self.spiking_conv(inner, f"{name}.second", 3, stride), f)

    def down(self, x, number):
        name, stride = f"backbone.down.{number}", 2**number
        key = f"between {stride} and {2 * stride}"
        x = self.conv(self.fire(x, stride), f"{name}.0.conv", "SparseConv3d", 2, stride=2, indice_key=key)
        x = self.norm(x, f"{name}.0.norm")
        blocks = {key.split(".")[3] for key in self.weights if key.startswith(f"{name}.")} - {"0"}
        for block in sorted(blocks, key=int):
            x = self.block(x, f"{name}.{block}", 2 * stride)
        return x

    def up(self, x, skip, number, stride):
        name, key = f"backbone.up.{number}", f"between {stride} and {2 * stride}"
        x = self.conv(self.fire(x, 2 * stride), f"{name}.conv", "SparseInverseConv3d", 2, indice_key=key)
        up = self.norm(x, f"{name}.norm")
        x = up.replace_feature(torch.cat([up.features, skip.features], dim=1))
        for first in (0, 3):
            x = self.norm(self.linear(self.fire(x, stride), f"{name}.fuse.{first + 1}"), f"{name}.fuse.{first + 2}")
        return add(up, x)

    @torch.no_grad()
    def __call__(self, features, coordinates, batch_size):
        """Logits (N, classes) of features (N, C) at int32 (sample, first, second, third) from zero on."""
        extent = (16 * (coordinates[:, 1:].amax(dim=0) // 16 + 1)).tolist()
        x = self.stem(self.engine.SparseConvTensor(features, coordinates, extent, batch_size))
        skips = [x]
        for number in range(4):
            skips.append(self.down(skips[-1], number))
        x = skips.pop()
        for number, stride in enumerate((8, 4, 2, 1)):
            x = self.up(x, skips.pop(), number, stride)
        return self.linear(x, "head").features


def add(one, other):
    return one.replace_feature(one.features + other.features)
