"""Event-driven inference against MinkowskiEngine and spconv, end to end: voxel coordinates in, results out; one thread.

Every spike layer of the networks that floors bind is set to fire at 15 % (share of values that are not zero, printed a
layer); the shipped classifiers run at their own rates beside them. The peers are the same networks in MinkowskiEngine and in
spconv alone, in evaluation and inference mode, with batch normalisations as they are and folded: the faster one counts.
Results are compared before anything is timed, layer by layer on the peer's own spikes, since in a network one neuron at a
tie changes all that follow. Rounds take turns; figures are the median of CPU time.

    SPIKEVOX_DATA=data python benchmarks/event_inference.py [--rounds 9] [--share 0.15] [--networks one batch ...]
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from support import results, spconv_network
from support.cases import CASES, Case
from support.comparison import TOLERANCE, agreement, layer_difference
from support.firing import Levels, proportions
from support.floors import HEADER, Floor, line
from support.inputs import split
from support.machine import describe, has, sentence
from support.minkowski_network import MinkowskiNetwork
from support.recorded_network import RecordedNetwork
from support.results import Table
from support.spconv_network import SpconvNetwork
from support.timing import ROUNDS, Timing, interleave

from spikevox.encoding import VoxelBatch
from spikevox.layers import event, native
from spikevox.layers.backends import minkowski
from spikevox.layers.event.network import EventNetwork
from spikevox.layers.graph import record

PEERS: dict[str, type[RecordedNetwork]] = {"MinkowskiEngine": MinkowskiNetwork, "spconv": SpconvNetwork}
VARIANTS = {"": False, ", folded": True}
SHARE, WITHIN = 0.15, 0.01
# Of every network over MinkowskiEngine, where the engine is held to AVX2.
AVX2_FLOOR = 2.5


class Figures(NamedTuple):
    """What was found of a case.

    Attributes:
        case: the case.
        voxels: of a run.
        levels: of each neuron.
        times: of a run, by name; "ours" and the peers' variants.
        difference: of single layers, by peer.
        agreeing: share of the end results that agree, by peer.
    """

    case: Case
    voxels: float
    levels: dict[str, Levels]
    times: dict[str, Timing]
    difference: dict[str, float]
    agreeing: dict[str, float]

    def best(self, peer: str) -> float | None:
        """CPU milliseconds of a peer's faster variant."""
        found = [timing.cpu.median for name, timing in self.times.items() if name.startswith(peer)]
        return min(found) if found else None

    def floors(self, share: float) -> list[Floor]:
        """The ratios to both peers."""
        at_rate = all(abs(1 - values[0] - share) <= WITHIN for values in self.levels.values())
        simd = native.simd()
        wanted = {"MinkowskiEngine": self.case.over_minkowski, "spconv": self.case.over_spconv}
        if simd == "avx2" and not self.case.trained:
            wanted = {"MinkowskiEngine": AVX2_FLOOR, "spconv": None}
        # Floors are stated for processors with AVX-512, those of AVX2 too.
        binding = share == SHARE and at_rate and simd != "portable" and has("avx512")
        ours, peers = self.times["ours"].cpu.median, [self.best(peer) for peer in PEERS]
        return [
            Floor(
                f"{self.case.title} (to {peer})",
                ours,
                *peers,
                None if best is None else best / ours,
                wanted[peer],
                binding,
            )
            for peer, best in zip(PEERS, peers, strict=True)
        ]


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
            opponent = PEERS[peer](graph, fold=fold)
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


def tables(found: list[Figures]) -> list[Table]:
    """All figures, and the firing a layer."""
    names = ["ours", *(peer + variant for peer in PEERS for variant in VARIANTS)]
    rows: dict[str, list[list[Any]]] = {"cpu": [], "wall": []}
    for figures in found:
        for clock, lines in rows.items():
            cells = [str(getattr(figures.times[name], clock)) if name in figures.times else "-" for name in names]
            lines.append([figures.case.title, round(figures.voxels), *cells])
    compared = [
        [figures.case.title, peer, f"{figures.difference[peer]:.1e}", f"{100 * figures.agreeing[peer]:.2f} %"]
        for figures in found
        for peer in figures.difference
    ]
    spread = "Median [least, largest] of the rounds."
    note = "Share of nonzero outputs, and of 1, 2, 3, 4 spikes among them."
    return [
        Table("CPU time, ms", spread, ["network", "voxels", *names], rows["cpu"]),
        Table("Wall time, ms", spread, ["network", "voxels", *names], rows["wall"]),
        Table(
            "Results compared",
            "Largest difference of a layer on the peer's spikes, as a share of its largest result; share of the end results "
            "that agree although a neuron at a tie may have fired or not.",
            ["network", "peer", "layer by layer", "at the end"],
            compared,
        ),
        Table("Spikes, mean over layers", note, ["network", "nonzero", "1", "2", "3", "4"], list(map(_mean, found))),
        *(
            Table(f"Spikes of {figures.case.title}", note, ["layer", "nonzero", "1", "2", "3", "4"], _layers(figures))
            for figures in found
            if not figures.case.single
        ),
    ]


def _mean(figures: Figures) -> list[str]:
    nonzero = [1 - values[0] for values in figures.levels.values()]
    shares = [sum(nonzero) / len(nonzero), *proportions(figures.levels)]
    return [figures.case.title, *(f"{share:.3f}" for share in shares)]


def _layers(figures: Figures) -> list[list[str]]:
    return [
        [name, f"{1 - values[0]:.3f}", *(f"{share:.3f}" for share in proportions({name: values}))]
        for name, values in figures.levels.items()
    ]


def show(figures: Figures, share: float) -> None:
    """Prints a case."""
    for floor in figures.floors(share):
        print(line(floor.cells()))
    for name, timing in figures.times.items():
        print(f"    {name:<26} CPU ms {timing.cpu!s:<22} wall ms {timing.wall}")
    nonzero = " ".join(f"{1 - values[0]:.3f}" for values in figures.levels.values())
    print(f"    nonzero a layer: {nonzero}")
    print(f"    1, 2, 3, 4 spikes among them: {' '.join(_mean(figures)[2:])}")
    for peer, difference in figures.difference.items():
        print(f"    {peer}: a layer differs by {difference:.1e}, {100 * figures.agreeing[peer]:.2f} % of results agree")
    sys.stdout.flush()


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
    facts = [
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
        tables=tables(found),
        facts={"share": options.share, "rounds": options.rounds, "networks": facts},
    )


if __name__ == "__main__":
    sys.exit(main())
