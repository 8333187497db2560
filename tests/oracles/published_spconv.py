"""The published networks in spconv's modules under the published names, written from the description; nothing of spikevox.

Forward passes are in evaluation mode, on one thread: spconv's CPU code with several returns wrong rows at random.
"""

import importlib.util
import logging
import os
import warnings
from functools import partial
from importlib import import_module

import torch
from torch import nn

norm = partial(nn.BatchNorm1d, eps=1e-3, momentum=0.01)


def reason_absent():
    if importlib.util.find_spec("spconv") is None:
        return "spconv is not installed: pip install spconv==2.3.8"
    return "" if os.environ.get("OMP_NUM_THREADS") == "1" else "spconv runs on one thread only: set OMP_NUM_THREADS=1"


def engine():
    # torch.fx, which spconv imports for int8 kernels that are not used here, warns.
    logging.getLogger("torch.fx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("spconv.pytorch")


class Spike(nn.Module):
    def forward(self, x):
        return torch.floor(x.clamp(0, 4) + 0.5)


def sub(inside, out, key, **options):
    return engine().SubMConv3d(inside, out, 3, padding=1, bias=False, indice_key=key, **options)


def unit(inside, out, key):
    return [Spike(), sub(inside, out, key), norm(out)]


def stem(inside, width, key):
    first = [sub(inside, width, key), norm(width)]
    return engine().SparseSequential(*first, *unit(width, width, key), *unit(width, width, key))


def added(one, other):
    return one.replace_feature(one.features + other.features)


class Block(nn.Module):
    def __init__(self, width, key):
        super().__init__()
        self.block = engine().SparseSequential(*unit(width, width, key))
        self.voxel_block = engine().SparseSequential(*unit(width, width, key), *unit(width, width, key))

    def forward(self, x):
        x = added(self.block(x), x)
        return added(self.voxel_block(x), x)


class Stage(nn.Module):
    def __init__(self, inside, out, depth, number, side, padding):
        super().__init__()
        conv = engine().SparseConv3d(
            inside, out, side, stride=2, padding=padding, bias=False, indice_key=f"down{number}"
        )
        self.down = engine().SparseSequential(Spike(), conv, norm(out))
        self.blocks = nn.ModuleList(Block(out, f"sub{number}") for _ in range(depth))

    def forward(self, x):
        x = self.down(x)
        for block in self.blocks:
            x = block(x)
        return x


class Up(nn.Module):
    def __init__(self, inside, skip, out, number):
        super().__init__()
        conv = engine().SparseInverseConv3d(inside, out, 2, indice_key=f"down{number}", bias=False)
        self.up = engine().SparseSequential(Spike(), conv, norm(out))
        self.fuse = nn.Sequential(
            Spike(), nn.Linear(out + skip, out), norm(out), Spike(), nn.Linear(out, out), norm(out)
        )

    def forward(self, x, skip):
        x = self.up(x)
        return x.replace_feature(self.fuse(torch.cat([x.features, skip.features], 1)) + x.features)


class Pointcept(nn.Module):
    """Classifier, or segmenter where there are widths of a decoder; ``grid`` is added to the batch's largest coordinates."""

    def __init__(self, inside, width, enc, depth, classes, dec=()):
        super().__init__()
        self.stem = stem(inside, width, "stem")
        before = (width, *enc)
        self.enc = nn.ModuleList(Stage(before[i], enc[i], depth, i, 2, 0) for i in range(len(enc)))
        if dec:
            coarse = (*dec[1:], enc[-1])
            self.dec = nn.ModuleList(Up(coarse[i], before[i], dec[i], i) for i in range(len(dec)))
        self.final = engine().SubMConv3d(dec[0] if dec else enc[-1], classes, 1)
        self.grid = 1 if dec else 96

    def forward(self, features, indices, batch_size):
        shape = (indices[:, 1:].amax(0) + self.grid).tolist()
        x = self.stem(engine().SparseConvTensor(features, indices, shape, batch_size))
        skips = [x]
        for stage in self.enc:
            skips.append(stage(skips[-1]))
        x = skips.pop()
        if hasattr(self, "dec"):
            for stage in reversed(self.dec):
                x = stage(x, skips.pop())
        logits = self.final(x).features
        if hasattr(self, "dec"):
            return logits
        samples = x.indices[:, 0]
        return torch.stack([logits[samples == b].mean(0) for b in range(batch_size)])


class Detection3d(nn.Module):
    """KITTI's 3D backbone; indices, kernels and ``grid`` are (z, y, x)."""

    def __init__(self, inside, width, stages, depth, out, grid):
        super().__init__()
        self.conv_input = stem(inside, width, "sub1")
        self.conv1 = engine().SparseSequential(engine().SparseSequential(*unit(width, width, "sub1")))
        before = (width, *stages)
        for i in range(3):
            setattr(self, f"conv{i + 2}", Stage(before[i], stages[i], depth, i + 2, 3, 1))
        last = engine().SparseConv3d(stages[-1], out, (3, 1, 1), stride=(2, 1, 1), bias=False, indice_key="last")
        self.conv_out = engine().SparseSequential(last, norm(out), Spike())
        self.grid = list(grid)

    def forward(self, features, indices, batch_size):
        x = self.conv1(self.conv_input(engine().SparseConvTensor(features, indices, self.grid, batch_size)))
        membranes = []
        for number in (2, 3, 4):
            x = getattr(self, f"conv{number}")(x)
            membranes.append(x)
        return [*membranes, self.conv_out(x)]


def network(name, *, grid=(41, 1600, 1408), inside=None, classes=None, size="published"):
    """``"classifier"`` (encoder T), ``"segmenter"`` and ``"voxel8x"``, as published or narrow, for tests of seconds."""
    if name == "classifier":
        return Pointcept(inside or 6, 16, (16, 32, 64, 128), 1, classes or 40)
    if name == "segmenter" and size == "published":
        return Pointcept(inside or 4, 64, (64, 128, 128, 256), 2, classes or 19, (256,) * 4)
    if name == "segmenter":
        return Pointcept(inside or 4, 16, (32, 64, 64, 64), 1, classes or 19, (64,) * 4)
    if size == "published":
        return Detection3d(inside or 4, 16, (32, 64, 64), 2, 128, grid)
    return Detection3d(inside or 4, 16, (32, 32, 64), 1, 64, grid)


@torch.no_grad()
def set_statistics(made, *inputs):
    """Statistics of a batch, scales and shifts drawn, so that neurons fire as in a trained network; then evaluation mode."""
    for module in made.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.momentum = 1.0
            module.weight.uniform_(0.8, 1.6)
            module.bias.uniform_(-0.4, 0.6)
    made.train()(*inputs)
    made.eval()
    if hasattr(made, "final"):
        # spconv's CPU code refuses layers with a bias in evaluation mode; a convolution is the same in both.
        made.final.train()
        made.final.bias.uniform_(-1, 1)
    return made
