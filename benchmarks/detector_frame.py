"""What a frame costs a detector, from its file to its boxes: time of each part, and the memory of the process.

The detectors of published size on the scans of `full_step.py`, with random weights and normalisations that hold the statistics
of that scan; and the shipped ones on a generated street of their test. Parts: read the scan and make its voxels (of a street, the
voxels alone); the sparse backbone with its sites and kernel maps; the 2D backbone; the head; the second stage; the rest, which is
boxes from what is said and their suppression. Each network runs on each backend in a process of its own, on one thread; after
one frame that warms up the figure is the median of CPU time. The peak is that of the whole process.

    SPIKEVOX_DATA=data python benchmarks/detector_frame.py [--rounds 9] [--networks single_stage two_stage] [--backends compiled]
"""

import argparse
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from support import results
from support.full_networks import NETWORKS
from support.machine import describe, sentence
from support.resident import check_counted, in_a_process, resident
from support.results import Table
from support.timing import ROUNDS, Spread, spread_of
from torch import nn

from spikevox.layers import native
from spikevox.layers.backends import minkowski
from spikevox.tasks import load_detector
from spikevox.tasks.build import build
from spikevox.tasks.config import load_config
from spikevox.tasks.datasets.detection import BoxedCloud, detection_batch

SYNTHETIC = Path(__file__).resolve().parents[1] / "apps" / "synthetic"
BACKENDS = {"compiled": native.available, "minkowski": minkowski.available}
# Names of the parts as modules of the networks, in the order in which they run.
MODULES = {"backbone": "sparse backbone", "bev": "2D backbone", "head": "head", "roi_head": "second stage"}
PARTS = ("voxels", *MODULES.values(), "boxes")
SHIPPED = {f"{name}_shipped": name for name in ("detect", "detect_two_stage", "detect_voxelnext")}


class Frame(NamedTuple):
    """A detector and what makes its input from a scan."""

    network: nn.Module
    voxels: Callable[[], Any]


class PartClock:
    """CPU time of a network's parts, by hooks around them."""

    def __init__(self, network: nn.Module) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._started = 0.0
        for module, part in MODULES.items():
            if hasattr(network, module):
                getattr(network, module).register_forward_pre_hook(self._start)
                getattr(network, module).register_forward_hook(self._stop(part))

    def _start(self, *_: Any) -> None:
        self._started = time.process_time()

    def _stop(self, part: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            self.spent[part] += 1e3 * (time.process_time() - self._started)

        return hook


def published(name: str, backend: str, root: Path) -> Frame:
    """A network of published size; its normalisations hold the statistics of the scan."""
    torch.manual_seed(0)
    one = NETWORKS[name]
    network = one.build(backend)
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(*one.batch(root), mode="tensor")
    return Frame(network, lambda: one.batch(root))


def shipped(name: str, backend: str) -> Frame:
    """A trained network and the first street of its test."""
    detector = load_detector(SYNTHETIC / "weights" / f"{SHIPPED[name]}.safetensors")
    detector.network.backend = backend
    data = build(load_config(SYNTHETIC / f"{SHIPPED[name]}.py")["test_dataloader"]["dataset"])
    frame = data.read(0)
    points = frame.table(data.pipeline.columns)

    def voxels() -> Any:
        return detection_batch([BoxedCloud(detector.pipeline(points, np.random.default_rng(0)), None)])

    return Frame(detector.network, voxels)


def scan_of(name: str, data: Path, scratch: Path) -> tuple[Path, str]:
    """Folder and title of a network's scan."""
    return (scratch, "a generated street, Pandar64") if name in SHIPPED else NETWORKS[name].scan(data, scratch)


@torch.no_grad()
def measure(name: str, backend: str, root: Path, rounds: int) -> None:
    """Prints figures of a network on a backend; run in a process of its own."""
    torch.set_num_threads(1)
    network, voxels = shipped(name, backend) if name in SHIPPED else published(name, backend, root)
    network.eval()
    clock = PartClock(network)
    before = resident("VmRSS")
    times: dict[str, list[float]] = defaultdict(list)
    for round_ in range(1 + rounds):
        clock.spent.clear()
        start = time.process_time()
        batch = voxels()
        middle = time.process_time()
        found = network(*batch, mode="predict")[0]
        whole = 1e3 * (time.process_time() - middle)
        spent = {"voxels": 1e3 * (middle - start), **clock.spent, "boxes": whole - sum(clock.spent.values())}
        for part, value in spent.items():
            if round_:
                times[part].append(value)
    facts = {"voxels": len(batch.coordinates), "boxes": len(found), "before_mb": before, "peak_mb": resident("VmHWM")}
    print(json.dumps({**facts, "cpu_ms": {part: spread_of(values)._asdict() for part, values in times.items()}}))


def tables(found: dict[str, dict[str, Any]]) -> list[Table]:
    """CPU time of the parts, and memory."""
    times, sizes = [], []
    for name, (scan, by_backend) in found.items():
        for backend, figures in by_backend.items():
            first = [title_of(name), scan, backend]
            cpu = figures["cpu_ms"]
            times.append([*first, *(Spread(**cpu[part]) if part in cpu else "-" for part in PARTS)])
            rounded = (round(figures[key]) for key in ("before_mb", "peak_mb"))
            sizes.append([*first, figures["voxels"], figures["boxes"], *rounded])
    header = ["network", "scan", "backend"]
    note = "Resident size of the process with the network loaded, and at its peak."
    return [
        Table("CPU time, ms", "Median [least, largest].", [*header, *PARTS], times),
        Table("Memory, MB", note, [*header, "voxels", "boxes found", "network loaded", "peak"], sizes),
    ]


def title_of(name: str) -> str:
    """What a network is called in the tables."""
    return f"apps/synthetic/{SHIPPED[name]}, shipped" if name in SHIPPED else f"{NETWORKS[name].title}, published size"


def main() -> None:
    """Prints a line a network and backend and writes the results."""
    there = [name for name in SHIPPED if (SYNTHETIC / "weights" / f"{SHIPPED[name]}.safetensors").is_file()]
    names = [name for name in NETWORKS if name != "unet"] + there
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--networks", nargs="+", default=names, choices=names)
    parser.add_argument("--backends", nargs="+", default=list(BACKENDS), choices=list(BACKENDS))
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SPIKEVOX_DATA", "data")))
    options = parser.parse_args()
    if options.measure:
        name, backend, root = options.measure
        measure(name, backend, Path(root), options.rounds)
        return
    check_counted()
    absent = [name for name in options.backends if not BACKENDS[name]()]
    if absent:
        raise SystemExit(f"the backend {absent[0]} is not there: `spikevox doctor` tells why")
    machine = describe()
    print(f"one thread, CPU ms; {sentence(machine)}", flush=True)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.networks:
            root, title = scan_of(name, options.data, Path(scratch) / name)
            found[name] = (title, {})
            for backend in options.backends:
                figures = in_a_process(__file__, name, backend, str(root), "--rounds", str(options.rounds))
                found[name][1][backend] = figures
                cells = " ".join(f"{part} {Spread(**value)}" for part, value in figures["cpu_ms"].items())
                print(f"{title_of(name)}, {title}, {backend}: {cells}, peak {figures['peak_mb']:.0f} MB", flush=True)
    results.write(
        options.out,
        "detector_frame",
        f"python benchmarks/detector_frame.py --rounds {options.rounds} --networks {' '.join(options.networks)} "
        f"--backends {' '.join(options.backends)}",
        "# One frame, from its file to boxes\n\nOne thread. Networks of published size have random weights, and their "
        "normalisations hold the statistics of the scan; shipped ones are trained, and their street is in memory.",
        machine,
        tables=tables(found),
        facts={
            "rounds": options.rounds,
            "networks": {name: {"scan": t, "backends": f} for name, (t, f) in found.items()},
        },
    )


if __name__ == "__main__":
    main()
