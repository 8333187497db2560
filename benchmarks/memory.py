"""Peak memory of a call: our engine beside MinkowskiEngine and, where it is installed, spconv.

Each engine runs each network in a process of its own: the network is made and compiled, a few voxels go through, memory that
is free is given back, and then the input goes through once. The figure is the largest resident size during that call less
the resident size before it, as Linux counts them. Normalisations of the peers are folded, which takes less memory; they let
go of each result after its last reader, and our network is not there beside them.

    SPIKEVOX_DATA=data python benchmarks/memory.py [--networks batch detection unet]
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from support import results, spconv_network
from support.cases import CASES
from support.floors import HEADER, Floor, line
from support.machine import describe, sentence
from support.minkowski_network import MinkowskiNetwork
from support.recorded_network import RecordedNetwork
from support.resident import check_counted, growth, in_a_process
from support.results import Table
from support.spconv_network import SpconvNetwork

from spikevox.encoding import VoxelBatch
from spikevox.layers import event, native
from spikevox.layers.backends import minkowski
from spikevox.layers.graph import record

NETWORKS = ("batch", "detection", "unet")
ENGINES = ("ours", "MinkowskiEngine", "spconv")
PEERS: dict[str, type[RecordedNetwork]] = {"MinkowskiEngine": MinkowskiNetwork, "spconv": SpconvNetwork}
Job = Callable[[VoxelBatch], Callable[[], object]]
# The C library keeps freed blocks of up to 32 MB, more or less of them from run to run; with this it gives them back at once.
GIVEN_BACK = {"MALLOC_MMAP_THRESHOLD_": "131072"}
RUNS = 2
SHARE = 0.15
HEADINGS = ("network", "engine", "input", "before", "peak above it", "by default")
NOTE = (
    "The peak is that of a C library which gives freed blocks back at once, so that it repeats; by default it keeps some, "
    f"and the figure, a median of {RUNS} processes, moves."
)


def measure(name: str, engine: str, root: Path) -> None:
    """Prints megabytes before the call, at its peak above them, and of the input; run in a process of its own."""
    torch.set_num_threads(1)
    job, few, batch = _ours(name, root) if engine == "ours" else _theirs(name, PEERS[engine], root)
    before, peak = growth_after(job, few, batch)
    print(json.dumps([before, peak, (batch.coordinates.numel() + batch.features.numel()) * 4e-6]))


def _ours(name: str, root: Path) -> tuple[Job, VoxelBatch, VoxelBatch]:
    loaded = CASES[name].load(root, SHARE)
    engine = event.compile(loaded.network, call=loaded.call)
    return lambda b: lambda: engine.run(b.coordinates, b.features, b.batch_size), _few(loaded.batch), loaded.batch


def _theirs(name: str, kind: type[RecordedNetwork], root: Path) -> tuple[Job, VoxelBatch, VoxelBatch]:
    # The peers' tables are as large whatever fires.
    loaded = CASES[name].load(root, None)
    peer = kind(record(loaded.network, call=loaded.call), fold=True)
    engine, few = event.compile(loaded.network, call=loaded.call), _few(loaded.batch)
    sites = {id(b): engine.sites(b.coordinates, b.batch_size) for b in (few, loaded.batch)}

    def job(b: VoxelBatch) -> Callable[[], object]:
        prepared = peer.prepare(b, sites[id(b)])
        return torch.inference_mode()(lambda: peer(prepared, b.features))

    return job, few, loaded.batch


def growth_after(job: Job, few: VoxelBatch, batch: VoxelBatch) -> tuple[float, float]:
    """As :func:`growth`, with code and tables that a first call of any size brings loaded before."""
    job(few)()
    return growth(job(batch))


def _few(batch: VoxelBatch) -> VoxelBatch:
    return batch._replace(
        coordinates=batch.coordinates[:200].contiguous(), features=batch.features[:200].contiguous(), batch_size=1
    )


def figures(name: str, engine: str, root: Path) -> dict[str, float]:
    """Megabytes of an engine on a network."""
    words = (__file__, name, engine, "--data", str(root))
    before, peak, size = in_a_process(*words, environment=GIVEN_BACK)
    kept = median(in_a_process(*words)[1] for _ in range(RUNS))
    return {"input_mb": size, "before_mb": before, "peak_mb": peak, "peak_default_mb": kept}


def main() -> None:
    """Prints a row a network and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(CASES))
    parser.add_argument("--measure", nargs=2, metavar=("NETWORK", "ENGINE"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SPIKEVOX_DATA", "data")))
    options = parser.parse_args()
    if options.measure:
        measure(*options.measure, options.data)
        return
    check_counted()
    if not native.available() or not minkowski.available():
        raise SystemExit(f"needs both engines: {native.reason_absent() or 'MinkowskiEngine is not installed'}")
    torch.set_num_threads(1)
    machine = describe()
    reason = spconv_network.reason_absent()
    print(f"MB above the size before the call, one thread; {sentence(machine)}")
    print(f"spconv skipped: {reason}" if reason else f"spconv {spconv_network.version()}")
    print(line(HEADER), flush=True)
    floors, rows, facts = [], [], {}
    for name in options.networks:
        found = {engine: figures(name, engine, options.data) for engine in ENGINES if engine != "spconv" or not reason}
        peaks = {engine: values["peak_mb"] for engine, values in found.items()}
        title = CASES[name].title
        ratio = peaks["MinkowskiEngine"] / peaks["ours"]
        floors.append(
            Floor(f"memory, {title}", peaks["ours"], peaks["MinkowskiEngine"], peaks.get("spconv"), ratio, None, False)
        )
        print(line(floors[-1].cells()), flush=True)
        rows += [[title, engine, *(f"{value:.1f}" for value in values.values())] for engine, values in found.items()]
        facts[title] = found
    results.write(
        options.out,
        "memory",
        f"python benchmarks/memory.py --networks {' '.join(options.networks)}",
        "# Peak memory of a call\n\nMB above the resident size before the call, one thread, each engine in a process of its own.",
        machine,
        floors=floors,
        tables=[Table("Resident size, MB", NOTE, HEADINGS, rows)],
        facts={"networks": facts},
    )


if __name__ == "__main__":
    main()
