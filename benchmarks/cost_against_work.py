"""What event-driven inference costs against the work that there is: by firing rate, by number of voxels, by layer.

The detection backbone on a KITTI frame and classifier T on 20 shapes; every spike layer set to fire at the rate of its row.
Voxels go to a quarter and to four times by their size, on the same points. MinkowskiEngine, which multiplies zeros too, runs
beside with its normalisations folded. Each layer's share of the machine's measured peak, of a matrix product and of a copy
in memory, is found as `support/layer_cost.py` says. One thread; the figure is the median of CPU time.

    SPIKEVOX_DATA=data python benchmarks/cost_against_work.py [--rounds 9]
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from support import results
from support.cost_inputs import VOXELS, classifier_batch, detection_frame
from support.firing import levels, set_rate
from support.layer_cost import LayerCost, layer_costs
from support.machine import describe, sentence
from support.minkowski_network import MinkowskiNetwork
from support.peak import gemm_gflops, memory_gigabytes
from support.results import Table
from support.timing import ROUNDS, Timing, interleave
from torch import nn

from spikevox.encoding import VoxelBatch
from spikevox.layers import SparseTensor, event, native
from spikevox.layers.backends import minkowski
from spikevox.layers.event.network import EventNetwork
from spikevox.layers.graph import record

RATES = (0.05, 0.10, 0.15, 0.25, 0.45)
RATE = 0.15
NETWORKS = {"detection backbone, KITTI": detection_frame, "classifier T, 20 shapes": classifier_batch}


class Point(NamedTuple):
    """A network at a rate on an input."""

    network: nn.Module
    engine: EventNetwork
    batch: VoxelBatch
    nonzero: float
    additions: int


def at_rate(
    make: Callable[[Path, float], tuple[nn.Module, VoxelBatch]], root: Path, rate: float, scale: float
) -> Point:
    """The network set to a rate on ``scale`` times the voxels."""
    torch.manual_seed(0)
    network, batch = make(root, scale)
    x = SparseTensor(batch.features, batch.coordinates, batch_size=batch.batch_size, backend="compiled")
    set_rate(network, network, x, rate)
    found = [1 - values[0] for values in levels(network, network, x).values()]
    engine = event.compile(network)
    additions = engine.run(batch.coordinates, batch.features, batch.batch_size).additions
    return Point(network, engine, batch, sum(found) / len(found), additions)


def jobs_of(label: str, point: Point, peer: bool) -> dict[str, Callable[[], object]]:
    """Ours, and MinkowskiEngine's where it is asked for."""
    batch = point.batch
    jobs: dict[str, Callable[[], object]] = {
        label: lambda: point.engine.run(batch.coordinates, batch.features, batch.batch_size)
    }
    if peer and minkowski.available():
        opponent = MinkowskiNetwork(record(point.network), fold=True)
        prepared = opponent.prepare(batch, point.engine.sites(batch.coordinates, batch.batch_size))
        jobs[f"MinkowskiEngine {label}"] = torch.inference_mode()(lambda: opponent(prepared, batch.features))
    return jobs


def rows_of(points: dict[str, Point], times: dict[str, Timing]) -> list[dict[str, Any]]:
    """Facts of each point."""
    rows = []
    for label, point in points.items():
        # By rate, the peer runs once: its time does not depend on the spikes.
        peer = times.get(f"MinkowskiEngine {label}") or next(
            (timing for name, timing in times.items() if name.startswith("Mink") and len(times) == len(points) + 1),
            None,
        )
        ours = times[label].cpu.median
        rows.append(
            {
                "point": label,
                "voxels": len(point.batch.coordinates),
                "nonzero": point.nonzero,
                "additions": point.additions,
                **times[label].facts(),
                "ns_an_addition": 1e6 * ours / point.additions,
                "minkowski_ms": None if peer is None else peer.cpu.median,
            }
        )
        row = rows[-1]
        beside = "-" if peer is None else f"{peer.cpu.median:.1f}"
        print(
            f"  {label:<22}{row['voxels']:>8}{row['nonzero']:>9.3f}{row['additions'] / 1e6:>12.0f}{ours:>10.2f}"
            f"{1e3 * row['ns_an_addition']:>12.1f}{beside:>12}",
            flush=True,
        )
    return rows


def layer_rows(costs: list[LayerCost], gemm: float, memory: float) -> list[list[str]]:
    """Cells of the table of layers."""
    return [
        [
            cost.name.split(" ")[0],
            f"{cost.channels[0]} to {cost.channels[1]}",
            f"{cost.pairs / 1e3:.0f}",
            f"{cost.additions / 1e6:.1f}",
            f"{cost.milliseconds:.2f}",
            f"{cost.gflops:.1f}",
            f"{100 * cost.gflops / gemm:.0f} %",
            f"{cost.dense_gflops:.0f}",
            f"{cost.gigabytes:.2f}",
            f"{100 * cost.gigabytes / memory:.0f} %",
        ]
        for cost in costs
    ]


LAYER_HEADER = [
    "layer",
    "channels",
    "pairs, thousands",
    "additions, millions",
    "CPU ms",
    "GFLOP/s",
    "of GEMM peak",
    "dense GFLOP/s",
    "GB/s",
    "of memory peak",
]


def main() -> None:
    """Prints the figures and writes them with a plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SPIKEVOX_DATA", "data")))
    options = parser.parse_args()
    if not native.available():
        raise SystemExit(f"needs the compiled library, and {native.reason_absent()}")
    torch.set_num_threads(1)
    machine = describe()
    gemm, memory = gemm_gflops(), memory_gigabytes()
    print(f"one thread; {sentence(machine)}\nGEMM peak {gemm:.0f} GFLOP/s, copy {memory:.1f} GB/s")
    print(f"{'':<24}{'voxels':>8}{'nonzero':>9}{'additions M':>12}{'CPU ms':>10}{'ps/addition':>12}{'Minkowski':>12}")
    facts: dict[str, Any] = {"gemm_gflops": gemm, "memory_gigabytes": memory, "networks": {}}
    tables = []
    for title, make in NETWORKS.items():
        print(title, flush=True)
        by_rate = {f"rate {rate:.2f}": at_rate(make, options.data, rate, 1.0) for rate in RATES}
        jobs = [jobs_of(label, point, label == f"rate {RATE:.2f}") for label, point in by_rate.items()]
        rate_rows = rows_of(by_rate, interleave({k: v for part in jobs for k, v in part.items()}, options.rounds))
        by_size = {f"voxels x {scale:g}": at_rate(make, options.data, RATE, scale) for scale in VOXELS}
        jobs = [jobs_of(label, point, True) for label, point in by_size.items()]
        size_rows = rows_of(by_size, interleave({k: v for part in jobs for k, v in part.items()}, options.rounds))
        base = by_rate[f"rate {RATE:.2f}"]
        costs = layer_costs(record(base.network), base.batch, options.rounds)
        rows = layer_rows(costs, gemm, memory)
        total = sum(cost.milliseconds for cost in costs)
        whole = next(row["cpu_ms"]["median"] for row in rate_rows if row["point"] == f"rate {RATE:.2f}")
        note = (
            f"Layers together {total:.1f} ms of {whole:.1f} ms that the network takes with its maps; {RATE:.0%} firing."
        )
        print("\n".join("    " + " | ".join(row) for row in [LAYER_HEADER, *rows]) + f"\n    {note}", flush=True)
        facts["networks"][title] = {
            "rates": rate_rows,
            "voxels": size_rows,
            "layers": [cost._asdict() for cost in costs],
        }
        tables += [
            _points(f"{title}: by firing rate", rate_rows),
            _points(f"{title}: by number of voxels", size_rows),
            Table(f"{title}: by layer", note, LAYER_HEADER, rows),
        ]
    plot(facts["networks"], options.out / "cost_against_work.png")
    results.write(
        options.out,
        "cost_against_work",
        f"python benchmarks/cost_against_work.py --rounds {options.rounds}",
        "# Cost of event-driven inference against the work\n\nOne thread, CPU time, median of the rounds. Measured peak of one "
        f"thread: {gemm:.0f} GFLOP/s in a matrix product, {memory:.1f} GB/s in a copy.\n\n"
        "![time by firing rate and by number of voxels](cost_against_work.png)",
        machine,
        tables=tables,
        facts=facts,
    )


def _points(title: str, rows: list[dict[str, Any]]) -> Table:
    header = ["", "voxels", "nonzero", "additions, millions", "CPU ms", "ps an addition", "MinkowskiEngine ms"]
    cells = [
        [
            row["point"],
            row["voxels"],
            f"{row['nonzero']:.3f}",
            f"{row['additions'] / 1e6:.0f}",
            f"{row['cpu_ms']['median']:.2f}",
            f"{1e3 * row['ns_an_addition']:.1f}",
            "-" if row["minkowski_ms"] is None else f"{row['minkowski_ms']:.1f}",
        ]
        for row in rows
    ]
    return Table(title, "", header, cells)


def plot(networks: dict[str, Any], path: Path) -> None:
    """Draws CPU time by rate and by voxels."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for number, (title, facts) in enumerate(networks.items()):
        for axis, rows, x in ((axes[0], facts["rates"], "nonzero"), (axes[1], facts["voxels"], "voxels")):
            xs = [100 * row[x] if x == "nonzero" else row[x] for row in rows]
            axis.plot(xs, [row["cpu_ms"]["median"] for row in rows], f"C{number}o-", label=title)
            if rows[0]["minkowski_ms"] is not None:
                axis.plot(xs, [row["minkowski_ms"] for row in rows], f"C{number}x:", label=f"{title}, MinkowskiEngine")
    axes[0].set(xlabel="nonzero outputs of spike layers, %", ylabel="CPU ms, one thread", yscale="log")
    axes[1].set(xlabel="voxels", ylabel="CPU ms, one thread", xscale="log", yscale="log")
    axes[1].xaxis.set_minor_formatter(ticker.NullFormatter())
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
