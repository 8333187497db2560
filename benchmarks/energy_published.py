"""Operations of E-3DSNN's networks: on the kind of input that its script takes, beside what it states, and on real inputs.

The script takes one sample of 9,830 random points in 64^3 sites with 6 random features and untrained weights, and prices the stem
alone. First table: multiplications of the whole classifiers on such an input, whose equal points are one site here, beside those
that the published network makes; and the stem's figure as the script makes it, with a row for each point as it has them. Second
table: the networks of published size on real inputs. Their weights are random and their normalisations hold the statistics of
that input, so firing rates, and what follows from them, are those of no trained network.

Exits with 1 where a figure is more than 2 % from the published one.

    SPIKEVOX_DATA=data python benchmarks/energy_published.py
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from support import results
from support.full_networks import NETWORKS
from support.machine import describe
from support.results import Table
from torch import nn

from spikevox.encoding import VoxelGrid, collate, voxelize
from spikevox.layers import SparseTensor
from spikevox.layers.backbones import Encoder
from spikevox.layers.energy import EnergyReport, OperationCounts, count_operations, energy_report, with_relu
from spikevox.layers.energy.conclusion import joules
from spikevox.tasks.classification import Classifier

POINTS, SIDE, CLASSES = 9830, 64, 40
# Multiplications of the whole network; FLOPs of the stem and millijoules that the published script states.
STATED = {
    "T": (5.07e8, 2.92e7, 0.134),
    "S": (1.10e9, 6.52e7, 0.300),
    "L": (1.13e10, 4.58e8, 2.107),
    "H": (2.82e10, 4.68e8, 2.116),
}
MOST = 0.02
TEXT = """# Operations of the published networks

The published script prices the stem of an untrained network, dense, on random points. Its figures are redone here
beside those of whole networks. Priced at 45 nm (Horowitz 2014): 4.6 pJ a multiplication with addition, 0.9 pJ an
addition, float32."""
STATED_NOTE = """9,830 uniform random points in 64^3 sites, {:,} of them different; 6 random features.
Multiplications (MACs) of the whole classifier; FLOPs of the stem as the script makes them: `2 pairs C C - N_out` of
three convolutions, the first as if it read C channels too, a row for each point. The published 2.116 mJ of H does not
fit its own 4.68e8 FLOPs, which make 2.153."""
STATED_HEADER = [
    *("size", "MACs", "published network", "off", "stem FLOPs", "script", "off", "stem mJ", "script mJ"),
    "whole network, dense, mJ",
]
REAL_NOTE = """Random weights, normalisations with the statistics of the input: rates are those of no trained
network. Rate: spikes a product of the dense form. First three energies: layers with weights alone; next three: with
neurons, shortcuts and memory. ReLU: the same weights."""
REAL_HEADER = [
    *("network", "input", "voxels", "MACs", "of them on reals", "ACs", "rate", "spikes", "ReLU dense"),
    *("ReLU, zeros skipped", "spikes, all", "ReLU dense, all", "ReLU skipped, all", "script's stem-only figure"),
]
SHAPE_VOXEL = 0.01


class Case(NamedTuple):
    """A network on a real input.

    Attributes:
        title: of the network.
        input: what it reads.
        network: with random weights.
        batch: of one sample.
        mode: of its forward pass.
    """

    title: str
    input: str
    network: nn.Module
    batch: Any
    mode: str


def classifier(size: str) -> Classifier:
    """A classifier of published size with random weights."""
    torch.manual_seed(0)
    return Classifier(Encoder(size, in_channels=6), CLASSES, backend="auto")


def random_points() -> torch.Tensor:
    """(9830, 3) points of the script's kind, some of them equal."""
    return torch.randint(0, SIDE, (POINTS, 3), generator=torch.Generator().manual_seed(0))


def on_random_points(size: str, points: torch.Tensor) -> OperationCounts:
    """Counts of a classifier, equal points as one site."""
    sites = torch.unique(points, dim=0)
    network = classifier(size)
    x = SparseTensor(torch.rand(len(sites), 6), nn.functional.pad(sites, (1, 0)), batch_size=1, backend="auto")
    return count_operations(network, x, call=network.logits)


def stem_flops(channels: int, points: torch.Tensor) -> int:
    """What the script says of the stem: three times ``2 pairs C C - N_out``, a row for each point.

    Of equal points one row is found by neighbours, and each looks for neighbours of its own.
    """
    sites, equal = torch.unique(points, dim=0, return_counts=True)
    number = {tuple(site): count for site, count in zip(sites.tolist(), equal.tolist(), strict=True)}
    steps = [(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)]
    pairs = sum(
        count * sum((x + i, y + j, z + k) in number for i, j, k in steps) for (x, y, z), count in number.items()
    )
    return 3 * (2 * pairs * channels**2 - len(points))


def real_cases(root: Path, scratch: Path) -> Iterator[Case]:
    """Each network on the input of its data set."""
    with np.load(root / "modelnet40" / "sample_4096_normals.npz", allow_pickle=False) as file:
        points = np.concatenate([file["points_q"][0] / 32000, file["normals_q"][0] / 127], axis=1).astype(np.float32)
    voxels = voxelize(
        points,
        VoxelGrid(SHAPE_VOXEL, origin="minimum"),
        columns=("x", "y", "z", "normal_x", "normal_y", "normal_z"),
        features=("xyz", "normal"),
        source="ModelNet40",
    )
    for size in STATED:
        yield Case(
            f"classifier {size}", "a shape of ModelNet40, 4,096 points", classifier(size), collate([voxels]), "tensor"
        )
    for name, one in NETWORKS.items():
        torch.manual_seed(0)
        folder, title = one.scan(root, scratch / name)
        yield Case(
            one.title, title, one.build("auto"), one.batch(folder), "predict" if name == "two_stage" else "tensor"
        )


def report_of(case: Case) -> EnergyReport:
    """Energy on the case's input, with normalisations that hold its statistics."""
    for module in case.network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        case.network.train()(*case.batch, mode="tensor")
    case.network.eval()
    control = with_relu(case.network)

    def counted(network: nn.Module) -> OperationCounts:
        return count_operations(network, *case.batch, call=lambda *batch: network(*batch, mode=case.mode))

    return energy_report([counted(case.network)], relu=[counted(control)], relu_from="the same weights", resamples=1)


def real_row(case: Case) -> list[Any]:
    """A row of the second table."""
    report = report_of(case)
    counts, forms = report.counts, report.forms
    real = sum(layer.macs for layer in counts.weighted("reals"))
    return [
        case.title,
        case.input,
        len(case.batch.coordinates),
        f"{counts.total('macs'):.3g}",
        f"{real:.3g}",
        f"{counts.total('acs'):.3g}",
        f"{report.rate.mean:.2f}",
        *(joules(forms[name]["synaptic"].mean) for name in ("spiking", "relu_dense", "relu_skipping")),
        *(joules(forms[name]["weights_once"].mean) for name in ("spiking", "relu_dense", "relu_skipping")),
        joules(report.published.picojoules) if report.published.layers else "-",
    ]


def main() -> int:
    """Prints the figures and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SPIKEVOX_DATA", "data")))
    options = parser.parse_args()
    torch.set_num_threads(1)
    machine = describe()
    points = random_points()
    rows, off = [], []
    for size, (macs, flops, millijoules) in STATED.items():
        ours = on_random_points(size, points).total("macs")
        stem = stem_flops(classifier(size).encoder.stem.layers[0].out_channels, points)
        distances = [ours / macs - 1, stem / flops - 1]
        off += [f"{size}: {distance:+.1%}" for distance in distances if abs(distance) > MOST]
        told = (
            f"{ours:.3e}",
            f"{macs:.2e}",
            f"{distances[0]:+.1%}",
            f"{stem:.3e}",
            f"{flops:.2e}",
            f"{distances[1]:+.1%}",
        )
        rows.append([size, *told, f"{stem * 4.6e-9:.3f}", f"{millijoules:.3f}", f"{ours * 4.6e-9:.2f}"])
        print(*rows[-1], sep="  ", flush=True)
    real = []
    with tempfile.TemporaryDirectory() as scratch:
        for case in real_cases(options.data, Path(scratch)):
            real.append(real_row(case))
            print(*real[-1], sep="  ", flush=True)
    different = len(torch.unique(points, dim=0))
    results.write(
        options.out,
        "energy_published",
        "python benchmarks/energy_published.py",
        TEXT,
        machine,
        tables=[
            Table("On the script's kind of input", STATED_NOTE.format(different), STATED_HEADER, rows),
            Table("On real inputs", REAL_NOTE, REAL_HEADER, real),
        ],
        facts={"stated": rows, "real": real, "off": off},
    )
    print(
        "\n".join(f"more than {MOST:.0%} off: {one}" for one in off)
        or f"all within {MOST:.0%} of the published figures"
    )
    return int(bool(off))


if __name__ == "__main__":
    sys.exit(main())
