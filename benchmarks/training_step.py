"""Training step (forward, backward, optimiser) on our kernels against MinkowskiEngine; one thread, CPU time.

For encoder T the peer is written as a user of MinkowskiEngine alone writes it: its convolutions, batch normalisation and
pooling, one coordinate manager, I-LIF as an autograd function, residuals on features. The small U-Net is trained in our
layers on both backends. Both start from the same weights, whose loss is compared first, and step with the same fused AdamW.
Rounds take turns; the figure is the median of CPU time.

    SPIKEVOX_DATA=data python benchmarks/training_step.py [--rounds 9] [--batch 16]
"""

import argparse
import os
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from support import results
from support.floors import HEADER, Floor, line
from support.inputs import semantickitti_scan
from support.machine import describe, sentence
from support.results import Table
from support.timing import ROUNDS, Timing, interleave
from torch import Tensor, nn

from spikevox.encoding import VoxelBatch, VoxelGrid, collate, voxelize
from spikevox.layers import Linear, SparseTensor, integer_spike, native
from spikevox.layers.backbones import Encoder, UNet
from spikevox.layers.backends import minkowski
from spikevox.tasks.classification import Classifier
from spikevox.tasks.datasets import ModelNet


class Peer(nn.Module):
    """Encoder T with head, in MinkowskiEngine; parameters in the order of ours."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.engine = minkowski.load()
        channels = (16, 16, 32, 64, 128)
        self.stem = nn.ModuleList([self._unit(in_channels, 16), self._unit(16, 16), self._unit(16, 16)])
        self.stages = nn.ModuleList(
            nn.ModuleList([self._unit(a, b, kernel=2, stride=2), *(self._unit(b, b) for _ in range(3))])
            for a, b in pairwise(channels)
        )
        self.head = self.engine.MinkowskiLinear(channels[-1], classes)
        self.pool = self.engine.MinkowskiGlobalAvgPooling()

    def _unit(self, a: int, b: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
        conv = self.engine.MinkowskiConvolution(a, b, kernel_size=kernel, stride=stride, dimension=3)
        return nn.Sequential(conv, self.engine.MinkowskiBatchNorm(b, eps=1e-3, momentum=0.1))

    def _spikes(self, x: Any) -> Any:
        return self._with(x, integer_spike(x.F, 4))

    def _with(self, x: Any, features: Tensor) -> Any:
        return self.engine.SparseTensor(
            features, coordinate_map_key=x.coordinate_map_key, coordinate_manager=x.coordinate_manager
        )

    def forward(self, coordinates: Tensor, features: Tensor) -> Tensor:
        """Logits (B, classes)."""
        x = self.engine.SparseTensor(features, coordinates)
        x = self.stem[0](x)
        for unit in self.stem[1:]:
            x = unit(self._spikes(x))
        for down, first, second, third in self.stages:
            x = down(self._spikes(x))
            f = first(self._spikes(x))
            f = self._with(f, f.F + x.F)
            y = third(self._spikes(second(self._spikes(f))))
            x = self._with(y, y.F + f.F)
        return self.pool(self.head(x)).F


def copy_weights(ours: nn.Module, peer: nn.Module) -> None:
    """Both list stem, stages and head in the same order."""
    with torch.no_grad():
        for source, target in zip(ours.parameters(), peer.parameters(), strict=True):
            target.copy_(source.reshape(target.shape))


def step_of(forward: Callable[[], Tensor], labels: Tensor, network: nn.Module) -> Callable[[], float]:
    """One training step that returns its loss."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)

    def step() -> float:
        loss = nn.functional.cross_entropy(forward(), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def measure(batch: VoxelBatch, rounds: int) -> dict[str, Timing]:
    """Times of a step of encoder T by engine, after two rounds that warm up."""
    classes = 40
    torch.manual_seed(0)
    encoder = Encoder("T", in_channels=batch.features.shape[1], batch_norm_momentum=0.1)
    ours = Classifier(encoder, classes, backend="compiled")
    peer = Peer(batch.features.shape[1], classes)
    copy_weights(ours, peer)
    labels = torch.arange(batch.batch_size) % classes
    steps = {
        "ours": step_of(lambda: ours(*batch), labels, ours),
        "MinkowskiEngine": step_of(lambda: peer(batch.coordinates, batch.features), labels, peer),
    }
    # One neuron at a tie may fire or not with the order of a sum; the loss of many neurons stays close.
    first = {key: step() for key, step in steps.items()}
    if abs(first["ours"] - first["MinkowskiEngine"]) > 0.05 * first["MinkowskiEngine"]:
        raise SystemExit(f"encoder T: the losses differ: {first}")
    return interleave(steps, rounds, warm_up=2)


def measure_unet(batch: VoxelBatch, rounds: int) -> dict[str, Timing]:
    """Times of a step of the small U-Net, a class a voxel: our layers on our kernels and on MinkowskiEngine's."""
    classes = 19
    labels = torch.arange(len(batch.coordinates)) % classes
    steps = {}
    for key, backend in (("ours", "compiled"), ("MinkowskiEngine", "minkowski")):
        torch.manual_seed(0)
        unet = UNet(batch.features.shape[1], size="small")
        network = nn.Sequential(unet, Linear(unet.out_channels, classes))

        def forward(network: nn.Module = network, backend: str = backend) -> Tensor:
            x = SparseTensor(batch.features, batch.coordinates, batch_size=batch.batch_size, backend=backend)
            return network(x).features

        steps[key] = step_of(forward, labels, network)
    first = {key: step() for key, step in steps.items()}
    if abs(first["ours"] - first["MinkowskiEngine"]) > 0.05 * first["MinkowskiEngine"]:
        raise SystemExit(f"small U-Net: the losses differ: {first}")
    return interleave(steps, rounds, warm_up=1)


def modelnet10(root: Path, count: int) -> VoxelBatch:
    """Clean views of every hundredth shape."""
    data = ModelNet("test", data_root=root / "modelnet10", grid={"voxel_size": 0.05, "origin": "minimum"})
    return collate([data[i] for i in range(0, 40 * count, 40)])


def larger_shapes(root: Path, count: int) -> VoxelBatch:
    """Shapes of 4,096 points."""
    with np.load(root / "modelnet40" / "sample_4096_normals.npz", allow_pickle=False) as file:
        clouds = file["points_q"][:count] / 32000
    return collate([voxelize(cloud, VoxelGrid(0.03, origin="minimum")) for cloud in clouds])


class Input(NamedTuple):
    """What is trained on, and how it is timed.

    Attributes:
        name: as printed.
        load: reads it, given the data folder and the number of shapes.
        measure: times of a step by engine.
        floor: ratio to reach on AVX-512.
    """

    name: str
    load: Callable[[Path, int], VoxelBatch]
    measure: Callable[[VoxelBatch, int], dict[str, Timing]]
    floor: float | None


INPUTS = (
    Input("encoder T, ModelNet10, 1,024 points", modelnet10, measure, 2.2),
    Input("encoder T, ModelNet40, 4,096 points", larger_shapes, measure, 2.6),
    Input("small U-Net, SemanticKITTI scan", lambda root, _: semantickitti_scan(root), measure_unet, None),
)


def main() -> int:
    """Prints a row an input and writes the results; 1 where a floor is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SPIKEVOX_DATA", "data")))
    options = parser.parse_args()
    if not native.available() or not minkowski.available():
        raise SystemExit(f"needs both engines: {native.reason_absent() or 'MinkowskiEngine is not installed'}")
    if not (options.data / "modelnet10").is_dir():
        raise SystemExit(f"no modelnet10 in {options.data}: set SPIKEVOX_DATA to the folder of the data")
    torch.set_num_threads(1)
    machine = describe()
    print(f"CPU ms a step, batch {options.batch}, one thread; {sentence(machine)}")
    print(line(HEADER), flush=True)
    floors, facts, rows = [], {}, []
    binding = native.simd() == "avx512"
    for name, load, timed, floor in INPUTS:
        batch = load(options.data, options.batch)
        times = timed(batch, options.rounds)
        ours, theirs = (timing.cpu.median for timing in times.values())
        floors.append(Floor(f"training step, {name}", ours, theirs, None, theirs / ours, floor, binding))
        print(line(floors[-1].cells()), flush=True)
        facts[name] = {"voxels": len(batch.coordinates), **{key: timing.facts() for key, timing in times.items()}}
        rows += [[name, len(batch.coordinates), key, timing.cpu, timing.wall] for key, timing in times.items()]
    results.write(
        options.out,
        "training_step",
        f"python benchmarks/training_step.py --rounds {options.rounds} --batch {options.batch}",
        f"# Training step\n\nForward, backward and optimiser, one thread; {options.batch} shapes a batch, or one scan.",
        machine,
        floors=floors,
        tables=[Table("Time, ms", "Median [least, largest].", ["input", "voxels", "engine", "CPU", "wall"], rows)],
        facts={"inputs": facts},
    )
    return int(any(floor.state == "MISSED" for floor in floors))


if __name__ == "__main__":
    sys.exit(main())
