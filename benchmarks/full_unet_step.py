"""One training step of the full segmentation U-Net on one scan: time, memory, and which parameters get a gradient.

E-3DSNN's U-Net with its head of 19 classes, 20,049,683 parameters, on scan 00/000000 of SemanticKITTI in voxels of 5 cm, all of
its range, batch 1: forward, weighted cross-entropy, backward, AdamW, with the published class weights and settings. A step
includes sites and kernel maps. Each backend steps in a process of its own, on one thread; after one step that warms up the
figure is the median of CPU time. Where the data is not there, the scan is a generated street, and the page says so.

Exits with 1 where a tensor of parameters has a gradient that is not finite, or none but zeros.

    SPIKEVOX_DATA=data python benchmarks/full_unet_step.py [--rounds 5] [--backends compiled minkowski]
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from support import results
from support.machine import describe, sentence
from support.resident import check_counted, in_a_process, resident
from support.results import Table
from support.scans import semantickitti, semantickitti_frames
from support.timing import Spread, interleave
from torch import nn

from spikevox.encoding import VoxelBatch, collate
from spikevox.layers import BatchNorm, native
from spikevox.layers.backbones import UNet
from spikevox.layers.backends import minkowski
from spikevox.tasks.datasets import LabelledFrames
from spikevox.tasks.datasets.semantickitti_label import CLASSES
from spikevox.tasks.segmentation import Segmenter

BACKENDS = {"compiled": native.available, "minkowski": minkowski.available}
ROUNDS = 5
# Published for SemanticKITTI, in the order of its classes.
CLASS_WEIGHTS = (
    *(3.1557, 8.7029, 7.8281, 6.1354, 6.3161, 7.9937, 8.9704, 10.1922, 1.6155, 4.2187),
    *(1.9385, 5.5455, 2.0198, 2.6261, 1.3212, 5.1102, 2.5492, 5.8585, 7.3929),
)


def labelled_voxels(root: Path) -> VoxelBatch:
    """The scan in voxels of 5 cm that carry x, y, z and intensity."""
    data = LabelledFrames(
        semantickitti_frames(root),
        classes=CLASSES,
        indices=[0],
        grid={"voxel_size": 0.05, "origin": "minimum"},
        columns=("x", "y", "z", "intensity"),
        features=("xyz", "intensity"),
    )
    return collate([data[0]])


def gradients(network: nn.Module) -> dict[str, Any]:
    """Which parameters have a gradient.

    Returns:
        How many tensors, and how many numbers in them, have one that is finite and not 0; the names of the tensors that have
        none; and the largest gradient of each tensor, by name.
    """
    grads = {name: torch.zeros(1) if p.grad is None else p.grad for name, p in network.named_parameters()}
    good = {name: int(torch.count_nonzero(g)) if bool(g.isfinite().all()) else 0 for name, g in grads.items()}
    return {
        "tensors": len(good),
        "tensors_with_gradient": sum(count > 0 for count in good.values()),
        "parameters": sum(p.numel() for p in network.parameters()),
        "parameters_with_gradient": sum(good.values()),
        "without": [name for name, count in good.items() if not count],
        "largest": {name: float(g.abs().max()) for name, g in grads.items()},
    }


def centred(network: nn.Module) -> list[str]:
    """Names of the biases that a normalisation follows: it takes them away again, so that their true gradient is 0."""
    return [
        f"{name}.{number}.bias"
        for name, module in network.named_modules()
        if isinstance(module, nn.Sequential)
        for number, (layer, following) in enumerate(pairwise(module))
        if isinstance(layer, nn.Linear) and layer.bias is not None and isinstance(following, BatchNorm)
    ]


def step_of(network: Segmenter, batch: VoxelBatch, found: dict[str, Any]) -> Callable[[], None]:
    """A step; the first one leaves its loss and what is said of its gradients in ``found``."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=5e-3, fused=True)

    def step() -> None:
        optimiser.zero_grad()
        loss = network(*batch, mode="loss")["loss"]
        loss.backward()
        if not found:
            found.update(loss=float(loss.detach()), **gradients(network))
        optimiser.step()

    return step


def measure(backend: str, root: Path, rounds: int) -> None:
    """Prints a backend's figures; run in a process of its own."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = Segmenter(UNet(4), len(CLASSES), class_weights=CLASS_WEIGHTS, backend=backend).train()
    batch = labelled_voxels(root)
    before = resident("VmRSS")
    found: dict[str, Any] = {}
    timing = interleave({"step": step_of(network, batch, found)}, rounds)["step"]
    memory = {"before_mb": before, "peak_mb": resident("VmHWM")}
    facts = {"voxels": len(batch.coordinates), **timing.facts(), **memory, "centred": centred(network)}
    print(json.dumps({**facts, **found}))


def spread(times: dict[str, float]) -> Spread:
    """As seconds."""
    return Spread(**times).over(1000)


def tables(found: dict[str, dict[str, Any]]) -> list[Table]:
    """Time and memory, then gradients."""
    rows, counts = [], []
    for backend, figures in found.items():
        times = (spread(figures[key]) for key in ("cpu_ms", "wall_ms"))
        rows.append([backend, *times, *(round(figures[key]) for key in ("before_mb", "peak_mb"))])
        largest, biases = figures["largest"], figures["centred"]
        counts.append(
            [
                backend,
                f"{figures['loss']:.4f}",
                f"{figures['tensors_with_gradient']} of {figures['tensors']}",
                f"{figures['parameters_with_gradient']:,} of {figures['parameters']:,}",
                f"{min(value for name, value in largest.items() if name not in biases):.1e}",
                f"{max(largest[name] for name in biases):.1e}",
            ]
        )
    note = (
        f"Of the first step. The true gradient of {len(biases)} biases is 0, as a normalisation follows them: theirs is "
        "rounding. The smallest gradient is that of the tensor whose largest one is smallest, of all other tensors."
    )
    return [
        Table(
            "Time and memory",
            "Median [least, largest]; the resident size is that of the process.",
            ["backend", "CPU s", "wall s", "before, MB", "peak, MB"],
            rows,
        ),
        Table(
            "Parameters with a finite gradient that is not 0",
            note,
            ["backend", "loss", "tensors", "numbers in them", "smallest gradient", "largest of those biases"],
            counts,
        ),
    ]


def main() -> int:
    """Prints a row a backend and writes the results; 1 where a parameter has no gradient."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS), choices=list(BACKENDS))
    parser.add_argument("--measure", nargs=2, metavar=("BACKEND", "ROOT"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SPIKEVOX_DATA", "data")))
    options = parser.parse_args()
    if options.measure:
        measure(options.measure[0], Path(options.measure[1]), options.rounds)
        return 0
    check_counted()
    absent = [name for name in options.backends if not BACKENDS[name]()]
    if absent:
        raise SystemExit(f"the backend {absent[0]} is not there: `spikevox doctor` tells why")
    torch.set_num_threads(1)
    machine = describe()
    with tempfile.TemporaryDirectory() as scratch:
        scan = semantickitti(options.data, Path(scratch))
        print(f"full U-Net, one step on {scan.title}, one thread; {sentence(machine)}", flush=True)
        found: dict[str, dict[str, Any]] = {}
        for backend in options.backends:
            words = (backend, str(scan.root), "--rounds", str(options.rounds))
            found[backend] = figures = in_a_process(__file__, *words)
            print(
                f"{backend}: {figures['voxels']} voxels, {spread(figures['cpu_ms'])} s CPU, "
                f"{spread(figures['wall_ms'])} s wall, peak {figures['peak_mb']:.0f} MB; gradient in "
                f"{figures['tensors_with_gradient']} of {figures['tensors']} tensors, "
                f"{figures['parameters_with_gradient']:,} of {figures['parameters']:,} numbers",
                flush=True,
            )
    without = {backend: figures["without"] for backend, figures in found.items() if figures["without"]}
    for backend, names in without.items():
        print(f"{backend}: no finite gradient that is not 0: {', '.join(names)}")
    voxels = next(iter(found.values()))["voxels"]
    results.write(
        options.out,
        "full_unet_step",
        f"python benchmarks/full_unet_step.py --rounds {options.rounds} --backends {' '.join(options.backends)}",
        f"# A training step of the full U-Net\n\nForward, weighted cross-entropy, backward and AdamW on {scan.title}, {voxels} "
        "voxels of 5 cm, batch 1, one thread; sites and kernel maps included.",
        machine,
        tables=tables(found),
        facts={"scan": scan.title, "rounds": options.rounds, "backends": found},
    )
    return int(bool(without))


if __name__ == "__main__":
    sys.exit(main())
