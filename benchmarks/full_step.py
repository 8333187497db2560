"""One training step of each full network on one scan: time, memory, and which parameters get a gradient.

E-3DSNN's U-Net with its head of 19 classes, 20,049,683 parameters, on scan 00/000000 of SemanticKITTI in voxels of 5 cm, all of
its range; its detector of cars without the second stage, 2,946,836, and with it, 8,597,116, on scan 000008 of KITTI before the
camera in voxels of 5 x 5 x 10 cm; VoxelNeXt, 7,981,398, on one sweep of nuScenes in voxels of 7.5 x 7.5 x 20 cm; batch 1:
forward, loss, backward, AdamW. A step includes sites, kernel maps and, of detectors, targets and proposals. Each network steps
on each backend in a process of its own, on one thread; after one step that warms up the figure is the median of CPU time. Where
the data is not there, the scan is a generated street, and the page says so.

Exits with 1 where a tensor of parameters has a gradient that is not finite, or none but zeros.

    SPIKEVOX_DATA=data python benchmarks/full_step.py [--rounds 5] [--networks unet single_stage] [--backends compiled minkowski]
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from support import results
from support.full_networks import NETWORKS, FullNetwork
from support.gradients import centred, gradients
from support.machine import describe, sentence
from support.resident import check_counted, in_a_process, resident
from support.results import Table
from support.timing import Spread, interleave
from torch import Tensor, nn

from spikevox.layers import native
from spikevox.layers.backends import minkowski

BACKENDS = {"compiled": native.available, "minkowski": minkowski.available}
ROUNDS = 5


def total(losses: Mapping[str, Tensor]) -> Tensor:
    """The sum of what is called a loss, as a training takes it."""
    return torch.stack([value for name, value in losses.items() if "loss" in name]).sum()


def step_of(network: nn.Module, batch: Any, one: FullNetwork, found: dict[str, Any]) -> Callable[[], None]:
    """A step; the first one leaves its loss and what is said of its gradients in ``found``."""
    optimiser = torch.optim.AdamW(network.parameters(), fused=True, **one.optimiser)

    def step() -> None:
        optimiser.zero_grad()
        with nullcontext() if found else one.first(network):
            loss = total(network(*batch, mode="loss"))
        loss.backward()
        if not found:
            found.update(loss=float(loss.detach()), **gradients(network))
        optimiser.step()

    return step


def measure(name: str, backend: str, root: Path, rounds: int) -> None:
    """Prints a network's figures on a backend; run in a process of its own."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    one = NETWORKS[name]
    network = one.build(backend).train()
    batch = one.batch(root)
    before = resident("VmRSS")
    found: dict[str, Any] = {}
    timing = interleave({"step": step_of(network, batch, one, found)}, rounds)["step"]
    memory = {"before_mb": before, "peak_mb": resident("VmHWM")}
    facts = {"voxels": len(batch.coordinates), **timing.facts(), **memory, "centred": centred(network)}
    print(json.dumps({**facts, **found}))


def spread(times: dict[str, float]) -> Spread:
    """As seconds."""
    return Spread(**times).over(1000)


def tables(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[Table]:
    """Time and memory, then gradients, of each network on each backend."""
    rows, counts = [], []
    for name, by_backend in found.items():
        for backend, figures in by_backend.items():
            times = (spread(figures[key]) for key in ("cpu_ms", "wall_ms"))
            place = [NETWORKS[name].title, backend]
            rows.append([*place, *times, *(round(figures[key]) for key in ("before_mb", "peak_mb"))])
            largest, biases = figures["largest"], figures["centred"]
            counts.append(
                [
                    *place,
                    f"{figures['loss']:.4f}",
                    f"{figures['tensors_with_gradient']} of {figures['tensors']}",
                    f"{figures['parameters_with_gradient']:,} of {figures['parameters']:,}",
                    f"{min(value for key, value in largest.items() if key not in biases):.1e}",
                    f"{max((largest[key] for key in biases), default=0.0):.1e}",
                ]
            )
    note = (
        "Of the first step. The true gradient of biases that a normalisation follows is 0: theirs is rounding. The smallest "
        "gradient is that of the tensor whose largest one is smallest, of all other tensors."
    )
    return [
        Table(
            "Time and memory",
            "Median [least, largest]; the resident size is that of the process.",
            ["network", "backend", "CPU s", "wall s", "before, MB", "peak, MB"],
            rows,
        ),
        Table(
            "Parameters with a finite gradient that is not 0",
            note,
            [
                "network",
                "backend",
                "loss",
                "tensors",
                "numbers in them",
                "smallest gradient",
                "largest of those biases",
            ],
            counts,
        ),
    ]


def measured(name: str, backends: list[str], root: Path, rounds: int) -> dict[str, dict[str, Any]]:
    """Figures of a network by backend, each printed when it is there."""
    found: dict[str, dict[str, Any]] = {}
    for backend in backends:
        found[backend] = figures = in_a_process(__file__, name, backend, str(root), "--rounds", str(rounds))
        print(
            f"{name}, {backend}: {figures['voxels']} voxels, {spread(figures['cpu_ms'])} s CPU, "
            f"{spread(figures['wall_ms'])} s wall, peak {figures['peak_mb']:.0f} MB; gradient in "
            f"{figures['tensors_with_gradient']} of {figures['tensors']} tensors, "
            f"{figures['parameters_with_gradient']:,} of {figures['parameters']:,} numbers",
            flush=True,
        )
        if figures["without"]:
            print(f"{name}, {backend}: no finite gradient that is not 0: {', '.join(figures['without'])}")
    return found


def main() -> int:
    """Prints a row a network and backend and writes the results; 1 where a parameter has no gradient."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS), choices=list(BACKENDS))
    parser.add_argument("--measure", nargs=3, metavar=("NETWORK", "BACKEND", "ROOT"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SPIKEVOX_DATA", "data")))
    options = parser.parse_args()
    if options.measure:
        name, backend, root = options.measure
        measure(name, backend, Path(root), options.rounds)
        return 0
    check_counted()
    absent = [name for name in options.backends if not BACKENDS[name]()]
    if absent:
        raise SystemExit(f"the backend {absent[0]} is not there: `spikevox doctor` tells why")
    torch.set_num_threads(1)
    machine = describe()
    found, words = {}, []
    for name in options.networks:
        with tempfile.TemporaryDirectory() as scratch:
            scan = NETWORKS[name].scan(options.data, Path(scratch))
            print(f"{NETWORKS[name].title}, one step on {scan.title}, one thread; {sentence(machine)}", flush=True)
            found[name] = measured(name, options.backends, scan.root, options.rounds)
        voxels = found[name][options.backends[0]]["voxels"]
        words.append(f"- {NETWORKS[name].title}: {NETWORKS[name].loss}, on {scan.title}, {voxels} voxels")
    results.write(
        options.out,
        "full_step",
        f"python benchmarks/full_step.py --rounds {options.rounds} --networks {' '.join(options.networks)} "
        f"--backends {' '.join(options.backends)}",
        "# A training step of the full networks\n\nForward, loss, backward and AdamW, batch 1, one thread; sites and kernel "
        "maps, and of detectors targets and proposals, included. In the first step of the detector of two stages, whose "
        "gradients are counted, all anchors are proposals: of those that a fresh network prefers, none may lie on one. In that "
        "of VoxelNeXt a group of an even number of objects has one less: L1 pulls alike at all of them, and as many ups as downs "
        "leave no gradient.\n\n" + "\n".join(words),
        machine,
        tables=tables(found),
        facts={"rounds": options.rounds, "networks": found},
    )
    return int(any(figures["without"] for by_backend in found.values() for figures in by_backend.values()))


if __name__ == "__main__":
    sys.exit(main())
