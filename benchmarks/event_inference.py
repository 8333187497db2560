"""Event-driven inference against MinkowskiEngine and spconv, end to end: voxel coordinates in, results out; one thread.

Every spike layer of the networks that floors bind is set to fire at 15 % (share of values that are not zero, printed a
layer); the shipped classifiers run at their own rates beside them. The peers are the same networks in MinkowskiEngine and in
spconv alone, in evaluation and inference mode, with batch normalisations as they are and folded: the faster one counts.
Results are compared before anything is timed, layer by layer on the peer's own spikes, since in a network one neuron at a
tie changes all that follow. Rounds take turns; figures are the median of CPU time. With ``SPIKEVOX_SIMD=avx2`` our engine is
held to AVX2, while the peers keep what the processor has.

    SPIKEVOX_DATA=data python benchmarks/event_inference.py [--rounds 9] [--share 0.15] [--networks one batch ...]
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from support import results, spconv_network
from support.cases import CASES, Case
from support.comparison import TOLERANCE, agreement, layer_difference
from support.engine_figures import PEERS, SHARE, VARIANTS, Figures, headline, show, tables
from support.floors import HEADER, Floor, line
from support.inputs import split
from support.machine import describe, sentence
from support.minkowski_network import MinkowskiNetwork
from support.recorded_network import RecordedNetwork
from support.spconv_network import SpconvNetwork
from support.timing import ROUNDS, interleave

from spikevox.encoding import VoxelBatch
from spikevox.layers import event, native
from spikevox.layers.backends import minkowski
from spikevox.layers.event.network import EventNetwork
from spikevox.layers.graph import record

NETWORKS: dict[str, type[RecordedNetwork]] = {"MinkowskiEngine": MinkowskiNetwork, "spconv": SpconvNetwork}


def run_case(case: Case, root: Path, share: float, rounds: int, peers: list[str]) -> Figures:
    """Compares, then times."""
    network, call, batch, levels = case.load(root, share)
    engine, graph = event.compile(network, call=call), record(network, call=call)
    parts = split(batch) if case.single else [batch]
    derived = [engine.sites(part.coordinates, part.batch_size) for part in parts]
    difference, agreeing = {}, {}
    jobs: dict[str, Callable[[], object]] = {"ours": _ours(engine, parts)}
    for peer in peers:
        for variant, fold in VARIANTS.items():
            opponent = NETWORKS[peer](graph, fold=fold)
            prepared = [opponent.prepare(part, sites) for part, sites in zip(parts, derived, strict=True)]
            jobs[peer + variant] = _theirs(opponent, prepared, parts)
            if fold:
                continue
            with torch.inference_mode():
                values = opponent(prepared[0], parts[0].features, keep=True)
                difference[peer] = layer_difference(opponent, prepared[0], values)
                agreeing[peer] = agreement(engine, graph, opponent, prepared[0], values, parts[0])
            if difference[peer] > TOLERANCE:
                raise SystemExit(f"{case.title}: a layer differs from {peer}'s by {difference[peer]:.1e}")
            del values
    times = {name: timing.over(len(parts)) for name, timing in interleave(jobs, rounds).items()}
    return Figures(case, len(batch.coordinates) / len(parts), levels, times, difference, agreeing)


def _ours(engine: EventNetwork, parts: list[VoxelBatch]) -> Callable[[], None]:
    def job() -> None:
        for part in parts:
            engine.run(part.coordinates, part.features, part.batch_size)

    return job


def _theirs(opponent: RecordedNetwork, prepared: list[Any], parts: list[VoxelBatch]) -> Callable[[], None]:
    def job() -> None:
        with torch.inference_mode():
            for given, part in zip(prepared, parts, strict=True):
                opponent(given, part.features)

    return job


def main() -> int:
    """Prints each case and writes the results; 1 where a floor is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--share", type=float, default=SHARE)
    parser.add_argument("--networks", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SPIKEVOX_DATA", "data")))
    options = parser.parse_args()
    if not native.available() or not minkowski.available():
        raise SystemExit(f"needs both engines: {native.reason_absent() or 'MinkowskiEngine is not installed'}")
    torch.set_num_threads(1)
    machine = describe()
    reason = spconv_network.reason_absent()
    print(f"one thread; {sentence(machine)}")
    print(f"spconv skipped: {reason}" if reason else f"spconv {spconv_network.version()}")
    print(line(HEADER), flush=True)
    found = []
    for name in options.networks:
        peers = ["MinkowskiEngine"] if reason else list(PEERS)
        found.append(run_case(CASES[name], options.data, options.share, options.rounds, peers))
        show(found[-1], options.share)
    floors = [floor for figures in found for floor in figures.floors(options.share)]
    store(options, machine, found, floors)
    return int(any(floor.state == "MISSED" for floor in floors))


def store(options: argparse.Namespace, machine: dict[str, Any], found: list[Figures], floors: list[Floor]) -> None:
    """Writes JSON and page."""
    suffix = "" if machine["instruction_set"] == "avx512" else f"_{machine['instruction_set']}"
    prefix = f"SPIKEVOX_SIMD={os.environ['SPIKEVOX_SIMD']} " if "SPIKEVOX_SIMD" in os.environ else ""
    networks = [
        {
            "name": figures.case.title,
            "voxels": figures.voxels,
            "times": {name: timing.facts() for name, timing in figures.times.items()},
            "difference": figures.difference,
            "agreeing": figures.agreeing,
            "levels": figures.levels,
        }
        for figures in found
    ]
    results.write(
        options.out,
        f"event_inference{suffix}",
        f"{prefix}python benchmarks/event_inference.py --rounds {options.rounds} --share {options.share}",
        "# Event-driven inference against MinkowskiEngine and spconv\n\nEnd to end, one thread, CPU ms: the median of the "
        "rounds. A peer's figure is the better of its two variants.",
        machine,
        floors=floors,
        tables=[headline(found, floors, _other(options.out, suffix)), *tables(found)],
        facts={"share": options.share, "rounds": options.rounds, "networks": networks},
    )


def _other(folder: Path, suffix: str) -> dict[str, Any] | None:
    """What an earlier run held to AVX2 found, to stand beside this one's."""
    path = folder / "event_inference_avx2.json"
    return None if suffix or not path.is_file() else json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
