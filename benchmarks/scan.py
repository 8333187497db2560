"""What one LiDAR scan costs from its file to files of predictions: time of each stage, and the memory of the process.

The small U-Net that is shipped for PandaSet on a scan of its test, and the full U-Net (random weights, every spike layer set
to fire at 15 %) on a scan of SemanticKITTI in voxels of 5 cm. Stages: read the file; make voxels; label them; label every point
by the votes of four turned views, voxels included; write `.label` and `.ply`. Each network runs on each engine in a process
of its own, on one thread; stages take turns, and figures are the median of CPU time. The peak is the largest resident size of
the whole process, Python and torch included. Where a data set is not there, the scan is a generated street in its format.

    SPIKEVOX_DATA=data python benchmarks/scan.py [--rounds 9] [--cases pandaset semantickitti] [--engines event compiled]
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from support import results
from support.firing import set_rate
from support.machine import describe, sentence
from support.resident import check_counted, in_a_process, resident
from support.results import Table
from support.scans import Scan, pandaset, pandaset_frames, semantickitti, semantickitti_frames
from support.timing import ROUNDS, Spread, interleave
from torch import Tensor, nn

from spikevox.encoding import collate
from spikevox.layers import SparseTensor, event, native
from spikevox.layers.backbones import UNet
from spikevox.layers.backends import minkowski
from spikevox.tasks import load_segmenter
from spikevox.tasks.atomic import write_atomically
from spikevox.tasks.checkpoint import save_weights
from spikevox.tasks.config import to_plain
from spikevox.tasks.datasets import LabelledFrames
from spikevox.tasks.datasets.pandaset_label import SIX
from spikevox.tasks.datasets.segmentation import FrameReader
from spikevox.tasks.datasets.semantickitti_label import CLASSES
from spikevox.tasks.segmentation import PointSegmenter, Segmenter, most_likely
from spikevox.tasks.view import point_colours, write_ply

SHIPPED = Path(__file__).resolve().parents[1] / "apps" / "pandaset" / "weights" / "segment_place.safetensors"
ENGINES = {"event": native.available, "compiled": native.available, "minkowski": minkowski.available}
STAGES = ("load", "voxelise", "label voxels", "four votes", "write")
VIEWS = 4
SHARE = 0.15


class Case(NamedTuple):
    """A network and its scan.

    Attributes:
        title: of the network.
        scan: where the scan lies, given the data folder and one to write a generated scan to.
        frames: reader of that folder.
        frame: name of the scan.
        classes: with the labels that each takes.
        weights: path of the weights, given the scan and a folder to write them to.
    """

    title: str
    scan: Callable[[Path, Path], Scan]
    frames: Callable[[Path], FrameReader]
    frame: str
    classes: Mapping[str, tuple[int, ...]]
    weights: Callable[[Scan, Path], Path]

    def dataset(self, root: Path, voxels: dict[str, Any]) -> LabelledFrames:
        """The scan as a data set of one frame."""
        frames = self.frames(root)
        indices = [list(frames.frames).index(self.frame)]
        return LabelledFrames(frames, classes=self.classes, indices=indices, **voxels)


def full_unet(scan: Scan, folder: Path) -> Path:
    """Writes the weights of a full U-Net that fires at ``SHARE`` on the scan."""
    voxels = {
        "grid": {"voxel_size": 0.05, "origin": "minimum"},
        "columns": ["x", "y", "z", "intensity"],
        "features": ["xyz", "intensity"],
    }
    torch.manual_seed(0)
    model = {"type": Segmenter, "backbone": {"type": UNet, "in_channels": 4}, "num_classes": len(CLASSES)}
    network = Segmenter(UNet(4), len(CLASSES))
    batch = collate([CASES["semantickitti"].dataset(scan.root, voxels)[0]])
    x = SparseTensor(batch.features, batch.coordinates, batch_size=1, backend="compiled")
    set_rate(network, whole(network), x, SHARE)
    path = folder / "full_unet.safetensors"
    save_weights(path, network, {"model": to_plain(model), "voxels": voxels, "class_names": list(CLASSES)})
    return path


def whole(network: Segmenter) -> Callable[[SparseTensor], SparseTensor]:
    """Backbone and head of a segmenter, as layers."""
    return lambda x: network.head(network.backbone(x))


CASES = {
    "pandaset": Case("small U-Net", pandaset, pandaset_frames, "002/44", SIX, lambda scan, folder: SHIPPED),
    "semantickitti": Case("full U-Net", semantickitti, semantickitti_frames, "00/000000", CLASSES, full_unet),
}


class EventSegmenter(nn.Module):
    """A segmenter in the event engine; called as the segmenter is."""

    def __init__(self, network: Segmenter) -> None:
        super().__init__()
        self.engine = event.compile(network, call=whole(network))

    def forward(
        self, coordinates: Tensor, features: Tensor, labels: Any, batch_size: int, report: Any, *, mode: str
    ) -> list[dict[str, Tensor]]:
        """Scores (voxels, classes) of a batch of one cloud."""
        logits, _ = self.engine.run(coordinates.int(), features.to(self.engine.dtype), batch_size).output
        return [{"scores": logits.softmax(dim=1)}]


def on(engine: str, weights: Path) -> PointSegmenter:
    """A network with four votes on an engine."""
    segmenter = load_segmenter(weights, views=VIEWS)
    if engine == "event":
        segmenter.network = EventSegmenter(segmenter.network.eval())
    else:
        segmenter.network.backend = engine
    return segmenter


def stages(segmenter: PointSegmenter, data: LabelledFrames, target: Path) -> dict[str, Callable[[], None]]:
    """The stages, each of which takes up what the one before has left.

    Args:
        segmenter: the network.
        data: one frame.
        target: path of the files to write, without an ending.
    """
    held: dict[str, Any] = {}
    # The last one stands for -1.
    raw = np.array([*data.raw_labels, 0], dtype="<u4")

    def load() -> None:
        held["frame"] = data.read(0)

    def voxelise() -> None:
        held["points"] = data.points(held["frame"])
        held["batch"] = collate([segmenter.pipeline(held["points"], np.random.default_rng(0))])

    @torch.no_grad()
    def label_voxels() -> None:
        segmenter.network(*held["batch"], mode="predict")

    def vote() -> None:
        held["classes"] = most_likely(segmenter(held["points"]))

    def write() -> None:
        classes = held["classes"]
        write_atomically(target.with_suffix(".label"), raw[classes].tobytes())
        colours = point_colours(classes, len(data.class_names))
        write_ply(target.with_suffix(".ply"), held["points"][:, :3], colours, classes)

    return dict(zip(STAGES, (load, voxelise, label_voxels, vote, write), strict=True))


def measure(name: str, engine: str, root: Path, weights: Path, target: Path, rounds: int) -> None:
    """Prints figures of a network on an engine; run in a process of its own."""
    torch.set_num_threads(1)
    segmenter = on(engine, weights)
    data = CASES[name].dataset(root, segmenter.pipeline.settings())
    before = resident("VmRSS")
    times = interleave(stages(segmenter, data, target), rounds)
    points, voxels = len(data.read(0).points), len(data[0])
    facts = {"points": points, "voxels": voxels, "before_mb": before, "peak_mb": resident("VmHWM")}
    print(json.dumps({**facts, "times": {stage: timing.facts() for stage, timing in times.items()}}))


def run_case(name: str, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Figures of each engine, and how many points it labels as the first engine does."""
    case = CASES[name]
    scan = case.scan(options.data, scratch / name)
    weights = case.weights(scan, scratch)
    found: dict[str, Any] = {}
    first: np.ndarray | None = None
    for engine in options.engines:
        target = scratch / f"{name}_{engine}"
        words = (name, engine, str(scan.root), str(weights), str(target))
        figures = in_a_process(__file__, *words, "--rounds", str(options.rounds))
        labels = np.fromfile(target.with_suffix(".label"), dtype="<u4")
        first = labels if first is None else first
        found[engine] = {**figures, "same_labels": float((labels == first).mean())}
        cells = " ".join(f"{stage} {cpu(figures, stage)}" for stage in STAGES)
        print(f"{case.title}, {scan.title}, {engine}: {cells}, peak {figures['peak_mb']:.0f} MB", flush=True)
    return {"scan": scan.title, "engines": found}


def cpu(figures: dict[str, Any], stage: str, clock: str = "cpu_ms") -> Spread:
    """Milliseconds of a stage."""
    return Spread(**figures["times"][stage][clock])


def tables(found: dict[str, dict[str, Any]]) -> list[Table]:
    """CPU time, wall time, memory."""
    rows: dict[str, list[list[Any]]] = {"cpu_ms": [], "wall_ms": [], "memory": []}
    for name, case in found.items():
        for engine, figures in case["engines"].items():
            first = [f"{CASES[name].title}, {case['scan']}", engine]
            for clock in ("cpu_ms", "wall_ms"):
                rows[clock].append([*first, *(cpu(figures, stage, clock) for stage in STAGES)])
            sizes = [figures["points"], figures["voxels"], round(figures["before_mb"]), round(figures["peak_mb"])]
            rows["memory"].append([*first, *sizes, f"{100 * figures['same_labels']:.2f} %"])
    header = ["network and scan", "engine"]
    note = (
        "Resident size of the process with the network loaded, and at its peak; share of the points that get the label that "
        "the first engine gives them. Engines add in other orders, and a neuron at a tie changes what follows."
    )
    return [
        Table("CPU time, ms", "Median [least, largest].", [*header, *STAGES], rows["cpu_ms"]),
        Table("Wall time, ms", "Median [least, largest].", [*header, *STAGES], rows["wall_ms"]),
        Table(
            "Memory, MB", note, [*header, "points", "voxels", "network loaded", "peak", "same labels"], rows["memory"]
        ),
    ]


def main() -> None:
    """Prints a line a network and engine and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--measure", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SPIKEVOX_DATA", "data")))
    options = parser.parse_args()
    if options.measure:
        name, engine, *paths = options.measure
        root, weights, target = map(Path, paths)
        measure(name, engine, root, weights, target, options.rounds)
        return
    check_counted()
    absent = [name for name in options.engines if not ENGINES[name]()]
    if absent:
        raise SystemExit(f"the engine {absent[0]} is not there: `spikevox doctor` tells why")
    torch.set_num_threads(1)
    machine = describe()
    print(f"one thread, CPU ms; {sentence(machine)}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        found = {name: run_case(name, options, Path(scratch)) for name in options.cases}
    results.write(
        options.out,
        "scan",
        f"python benchmarks/scan.py --rounds {options.rounds} --cases {' '.join(options.cases)} "
        f"--engines {' '.join(options.engines)}",
        '# One scan, from its file to files of predictions\n\nOne thread. "Four votes" makes the voxels of four turned views '
        'and labels every point; "label voxels" is the network alone on one view, with its sites and kernel maps. Files are '
        "in the system's cache. The small U-Net has its trained weights, the full one random ones that let every spike layer "
        "fire at 15 %.",
        machine,
        tables=tables(found),
        facts={"rounds": options.rounds, "cases": found},
    )


if __name__ == "__main__":
    main()
