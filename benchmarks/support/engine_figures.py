"""Figures of event-driven inference beside its peers': ratios, floors, tables."""

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from spikevox.layers import native
from support.cases import Case
from support.firing import Levels, proportions
from support.floors import Floor, line
from support.machine import has
from support.results import Table
from support.timing import Timing

PEERS = ("MinkowskiEngine", "spconv")
# Endings of a peer's name, and whether its normalisations are folded.
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

    def floor_name(self, peer: str) -> str:
        """Name of the row of the ratio to a peer."""
        return f"{self.case.title} (to {peer})"

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
                self.floor_name(peer),
                ours,
                *peers,
                None if best is None else best / ours,
                wanted[peer],
                binding,
            )
            for peer, best in zip(PEERS, peers, strict=True)
        ]


def headline(found: Sequence[Figures], floors: Sequence[Floor], other: dict[str, Any] | None) -> Table:
    """Times and ratios to both peers; those of a run held to AVX2 beside them."""
    beside = {} if other is None else {row["name"]: row["ratio"] for row in other["floors"]}
    ratios = {floor.name: floor.ratio for floor in floors}
    sets = [ratios, beside] if beside else [ratios]
    rows = []
    for figures in found:
        names = [figures.floor_name(peer) for peer in PEERS]
        cells = [values.get(name) for values in sets for name in names]
        nonzero = sum(1 - values[0] for values in figures.levels.values()) / len(figures.levels)
        rows.append(
            [
                figures.case.title,
                f"{100 * nonzero:.0f} %",
                f"{figures.times['ours'].cpu.median:.2f}",
                *("-" if cell is None else f"{cell:.1f}" for cell in cells),
            ]
        )
    header = ["network and input", "nonzero", "ms", *(f"over {peer}" for peer in PEERS)]
    header += [f"over {peer}, AVX2" for peer in PEERS] if beside else []
    note = "CPU time on one thread; how many times as long the better variant of each peer takes."
    if other is not None:
        note += f" AVX2: `event_inference_avx2.json`, {other['machine']['date']}."
    return Table("Ratios", note, header, rows)


def tables(found: Sequence[Figures]) -> list[Table]:
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
