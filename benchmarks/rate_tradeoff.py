r"""What firing less costs and saves: accuracy, firing rate, operations and time of one classifier trained to several rates.

Each of the weights is scored on ModelNet10's test split, one clean view, and then run event-driven on 20 test shapes, one
after the other: additions and CPU time a shape, one thread, rounds in turn, median. The first weights are the ones that the
others are set against. The weights are what these leave, N being the target:

    W=apps/modelnet/weights/classify_t.safetensors
    spikevox train apps/modelnet/classify_t_sparse.py --weights $W --set spike_rate.target=N --set epochs=10 \
        --set optim_wrapper.optimizer.lr=2e-3 --work-dir DIR

    SPIKEVOX_DATA=data python benchmarks/rate_tradeoff.py $W DIR/weights.safetensors ... [--rounds 9]
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import torch
from support import results
from support.cases import SHAPES, shapes_for
from support.inputs import as_int32, split
from support.machine import describe, sentence
from support.results import Table
from support.timing import ROUNDS, Timing, interleave

from spikevox.layers import event, native
from spikevox.tasks import Predictor, load_config, load_predictor
from spikevox.tasks.session import score

matplotlib.use("Agg")
from matplotlib import pyplot as plt

CONFIG = Path(__file__).resolve().parent.parent / "apps" / "modelnet" / "classify_t.py"
HEADER = ("target", "epochs", "accuracy", "nonzero", "spikes a value", "additions, millions", "CPU ms", "time")


class Point(NamedTuple):
    """One training.

    Attributes:
        target: of its spike rate loss; ``None`` without one.
        epochs: of the training.
        accuracy: share of right test shapes.
        nonzero: share of the values that are not 0, over all layers and test shapes.
        firing_rate: mean spikes a value.
        additions: of a shape.
    """

    target: float | None
    epochs: int
    accuracy: float
    nonzero: float
    firing_rate: float
    additions: float


def run_of(predictor: Predictor, root: Path) -> tuple[Callable[[], None], float]:
    """A job that runs a network on each shape, and the additions of a shape."""
    network: Any = predictor.network
    engine = event.compile(network, call=network.logits)
    parts = split(as_int32(shapes_for(predictor, root)))
    work = sum(engine.run(p.coordinates, p.features, p.batch_size).additions for p in parts) / len(parts)

    def job() -> None:
        for part in parts:
            engine.run(part.coordinates, part.features, part.batch_size)

    return job, work


def plot(points: list[Point], times: list[Timing], path: Path) -> None:
    """Accuracy and time against the share of values that are not zero."""
    figure, left = plt.subplots(figsize=(6, 3.6), layout="constrained")
    right = left.twinx()
    order = sorted(range(len(points)), key=lambda i: points[i].nonzero)
    shares = [100 * points[i].nonzero for i in order]
    left.plot(shares, [100 * points[i].accuracy for i in order], "o-", color="C0", label="accuracy, %")
    right.plot(shares, [times[i].cpu.median for i in order], "s--", color="C1", label="CPU ms a shape")
    left.set(xlabel="values that are not zero, %", ylabel="accuracy, % (one clean view)")
    right.set(ylabel="CPU ms a shape", ylim=(0, None))
    figure.legend(loc="lower right", bbox_to_anchor=(0.88, 0.18))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Prints a row a training and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SPIKEVOX_DATA", "data")))
    options = parser.parse_args()
    if not native.available():
        raise SystemExit(f"needs the compiled library: {native.reason_absent()}")
    torch.set_num_threads(1)
    machine = describe()
    print(sentence(machine), flush=True)
    points, jobs = [], {}
    for number, path in enumerate(options.weights):
        scored = score(load_config(CONFIG), path)
        jobs[str(number)], additions = run_of(load_predictor(path), options.data)
        target = scored.facts["config"].get("spike_rate", {}).get("target")
        found = scored.evaluation
        accuracy = float((found.scores.argmax(axis=1) == found.labels).mean())
        points.append(Point(target, scored.facts["epochs"], accuracy, found.nonzero, found.firing_rate, additions))
        print(points[-1], flush=True)
    times = [timing.over(SHAPES) for timing in interleave(jobs, options.rounds).values()]
    rows = [
        [
            *("-" if p.target is None else p.target, p.epochs, f"{100 * p.accuracy:.1f} %", f"{100 * p.nonzero:.1f} %"),
            *(f"{p.firing_rate:.3f}", f"{p.additions / 1e6:.2f}", t.cpu, f"{t.cpu.median / times[0].cpu.median:.2f}"),
        ]
        for p, t in zip(points, times, strict=True)
    ]
    plot(points, times, options.out / "rate_tradeoff.png")
    results.write(
        options.out,
        "rate_tradeoff",
        "python benchmarks/rate_tradeoff.py WEIGHTS ...",
        "# Accuracy and cost against the firing rate\n\nClassifier T on ModelNet10's test split, one clean view; one seed a "
        "row. Additions and time are those of a shape, event-driven, one thread; the last column is the time as a share of the "
        "first row's.\n\n![accuracy and time against the share of values that are not zero](rate_tradeoff.png)",
        machine,
        tables=[Table("By target", "", HEADER, rows)],
        facts={"points": [{**p._asdict(), **t.facts()} for p, t in zip(points, times, strict=True)]},
    )
    for row in (HEADER, *rows):
        print("".join(f"{cell!s:>22}" for cell in row))


if __name__ == "__main__":
    main()
