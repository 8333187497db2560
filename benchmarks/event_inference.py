"""Event-driven inference against MinkowskiEngine, end to end: voxel coordinates in, results out; one thread, CPU time.

Every spike layer is set to fire at 15 % (share of values that are not zero; the least and the largest found are printed).
The peer is the same network in MinkowskiEngine alone, in evaluation and inference mode, with batch normalisations as they
are and folded into the convolutions: the faster one counts. Results are compared before anything is timed, layer by layer
on the peer's own spikes, since in a network one neuron at a tie changes all that follow. Rounds take turns; figures are the
median.

    SPIKEVOX_DATA=data python benchmarks/event_inference.py [--rounds 9] [--share 0.15] [--networks one batch ...]
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from support import inputs
from support.firing import set_rate
from support.minkowski_network import MinkowskiNetwork
from torch import nn

from spikevox.encoding import VoxelBatch
from spikevox.layers import GlobalMeanPool, Linear, SparseTensor, event, native
from spikevox.layers.backbones import Encoder, UNet, Voxel8x
from spikevox.layers.backends import minkowski
from spikevox.layers.event.network import EventNetwork
from spikevox.layers.graph import Graph, record
from spikevox.layers.neurons.integer import ILIF


class Case(NamedTuple):
    """A network and its input.

    Attributes:
        title: as printed.
        network: makes it.
        load: reads the input.
        single: samples are run one by one; the figure is a sample's.
        floor: ratio to MinkowskiEngine that must be reached on AVX-512.
    """

    title: str
    network: Callable[[], nn.Module]
    load: Callable[[Path], VoxelBatch]
    single: bool
    floor: float


def classifier() -> nn.Module:
    """Encoder T with a head of ten classes."""
    return nn.Sequential(Encoder("T", in_channels=3), Linear(128, 10), GlobalMeanPool())


CASES = {
    "one": Case("T, one shape", classifier, lambda root: inputs.shapes(root, 20), True, 4.8),
    "batch": Case("T, batch of 20 shapes", classifier, lambda root: inputs.shapes(root, 20), False, 4.5),
    "detection": Case(
        "Voxel8x, KITTI frame", lambda: Voxel8x(4, grid=(1408, 1600, 41)), inputs.kitti_frame, False, 5.0
    ),
    "unet": Case(
        "U-Net, SemanticKITTI scan",
        lambda: nn.Sequential(UNet(4), Linear(256, 19)),
        inputs.semantickitti_scan,
        False,
        4.8,
    ),
}


def check_same(graph: Graph, values: list[Any]) -> float:
    """Largest difference of a layer's result on the peer's own input, as a share of the largest result.

    Each neuron, with what follows up to the next one, is compiled by itself and fed with the peer's membrane.
    """
    worst = 0.0
    for index, node in enumerate(graph.nodes):
        following = graph.nodes[index + 1] if index + 1 < len(graph.nodes) else None
        if not isinstance(node.module, ILIF) or following is None or following.module is None:
            continue
        if following.inputs != (index,) or following.sites != node.sites or isinstance(following.module, nn.Linear):
            continue
        membrane, expected = values[node.inputs[0]], values[index + 1]
        stride = graph.sites[node.sites].tensor_stride
        one = torch.zeros(1, 4, dtype=torch.int32)
        example = SparseTensor(torch.zeros(1, node.channels), one, tensor_stride=stride, backend="compiled")
        engine = event.compile(nn.Sequential(node.module, following.module), example=example)
        sites = membrane.C.contiguous()
        result, _ = engine.run(sites, membrane.F.contiguous(), int(sites[:, 0].max()) + 1).output
        worst = max(worst, float((result - expected.F).abs().max() / expected.F.abs().max().clamp(min=1e-30)))
    return worst


def measure(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """CPU milliseconds of each job, round after round, the first one left out."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds + 1):
        for name, job in jobs.items():
            start = time.process_time()
            job()
            times[name].append(1e3 * (time.process_time() - start))
    return {name: values[1:] for name, values in times.items()}


def run_case(case: Case, root: Path, share: float, rounds: int) -> dict[str, Any]:
    """Figures of a case."""
    torch.manual_seed(0)
    batch = inputs.as_int32(case.load(root))
    network = case.network()
    x = SparseTensor(batch.features, batch.coordinates, batch_size=batch.batch_size, backend="compiled")
    shares = set_rate(network, network, x, share)
    engine, graph = event.compile(network), record(network)
    parts = inputs.split(batch) if case.single else [batch]
    peers = {
        name: [MinkowskiNetwork(graph, fold=fold, derived=_derived(engine, part)) for part in parts]
        for name, fold in (("plain", False), ("folded", True))
    }
    with torch.inference_mode():
        difference = check_same(graph, peers["plain"][0](parts[0].coordinates, parts[0].features))
    if difference > 1e-5:
        raise SystemExit(f"{case.title}: a layer differs by {difference:.1e} of its largest result")

    def ours() -> None:
        for part in parts:
            engine.run(part.coordinates, part.features, part.batch_size)

    def theirs(name: str) -> Callable[[], None]:
        def job() -> None:
            with torch.inference_mode():
                for peer, part in zip(peers[name], parts, strict=True):
                    peer(part.coordinates, part.features)

        return job

    times = measure({"ours": ours, **{name: theirs(name) for name in peers}}, rounds)
    figures = {name: median(values) / len(parts) for name, values in times.items()}
    return {
        "name": case.title,
        "voxels": len(batch.coordinates) / len(parts),
        "least_share": min(shares.values()),
        "largest_share": max(shares.values()),
        "difference": difference,
        **figures,
        "range": {name: [min(values) / len(parts), max(values) / len(parts)] for name, values in times.items()},
        "ratio": min(figures["plain"], figures["folded"]) / figures["ours"],
        "floor": case.floor,
    }


def _derived(engine: EventNetwork, part: VoxelBatch) -> dict[int, torch.Tensor]:
    return engine.sites(part.coordinates, part.batch_size)


def main() -> int:
    """Prints a row a case; 1 where a floor is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--share", type=float, default=0.15)
    parser.add_argument("--networks", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--out", type=Path, default=Path("work_dirs/event_inference.json"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SPIKEVOX_DATA", "data")))
    options = parser.parse_args()
    if not native.available() or not minkowski.available():
        raise SystemExit(f"needs both engines: {native.reason_absent() or 'MinkowskiEngine is not installed'}")
    torch.set_num_threads(1)
    binding = native.simd() == "avx512" and options.share == 0.15
    print(
        f"CPU ms, one thread, {native.simd()}, torch {torch.__version__}, {platform.processor() or platform.machine()}"
    )
    print(
        f"{'network':<28}{'voxels':>8}{'nonzero':>14}{'ours':>9}{'ME':>9}{'folded':>9}{'ratio':>7}{'floor':>7}",
        flush=True,
    )
    rows, missed = [], False
    for name in options.networks:
        row = run_case(CASES[name], options.data, options.share, options.rounds)
        state = "n/a" if not binding else "ok" if row["ratio"] >= row["floor"] else "MISSED"
        missed |= state == "MISSED"
        rows.append(row)
        print(
            f"{row['name']:<28}{row['voxels']:>8.0f}{row['least_share']:>7.3f}{row['largest_share']:>7.3f}"
            f"{row['ours']:>9.2f}{row['plain']:>9.2f}{row['folded']:>9.2f}{row['ratio']:>7.2f}{row['floor']:>7.1f} {state}",
            flush=True,
        )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"simd": native.simd(), "rows": rows}, indent=2) + "\n")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
