"""The neurons on the same network, data and time: accuracy and firing rate beside a forest.

Encoder T at half width on the generated shapes of ``apps/synthetic``, one thread. Each neuron gets as many epochs as fit
into the minutes, measured on its first steps, so that the table is one of equal time; 4 time steps for all but I-LIF
(one step, D = 4) and ReLU.

    python benchmarks/neurons.py [--minutes 4] [--seed 0] [--neurons ilif lif ...] [--out work_dirs/neurons]
"""

import argparse
import json
import logging
import time
from pathlib import Path
from typing import Any

import torch

from spikevox.tasks.config import load_config
from spikevox.tasks.runner import build_runner
from spikevox.tasks.session import baseline, score, train
from spikevox.tasks.training import WEIGHTS

CONFIG = Path(__file__).resolve().parents[1] / "apps" / "synthetic" / "classify.py"
TIME_STEPS = {"ilif": 1, "if": 4, "lif": 4, "plif": 4, "adaptive_lif": 4, "psn": 4, "relu": 1}
# Steps that are timed after as many that warm up.
TIMED = 12


def experiment(neuron: str, seed: int, epochs: int) -> dict[str, Any]:
    """The synthetic experiment with a neuron."""
    overrides = [
        "model.encoder.width=0.5",
        f"model.encoder.neuron={neuron}",
        f"model.time_steps={TIME_STEPS[neuron]}",
        "model.backend=auto",
        f"epochs={epochs}",
        f"warm_up={epochs / 6}",
        f"train_cfg.val_interval={epochs}",
        f"randomness.seed={seed}",
    ]
    return load_config(CONFIG, overrides)


def epochs_within(neuron: str, seconds: float, folder: Path) -> int:
    """Epochs that fit, from the time of a few steps."""
    runner = build_runner(experiment(neuron, 0, 6), folder / "timing", overwrite=True)
    optimiser = runner.build_optim_wrapper(runner.optim_wrapper)
    batches = iter(runner.train_dataloader)
    start = 0.0
    for step in range(2 * TIMED):
        if step == TIMED:
            start = time.process_time()
        runner.model.train_step(next(batches), optimiser)
    step_seconds = (time.process_time() - start) / TIMED
    return max(1, int(seconds / (step_seconds * len(runner.train_dataloader))))


def main() -> None:
    """Prints a row a neuron and stores them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--neurons", nargs="+", default=list(TIME_STEPS), choices=list(TIME_STEPS))
    parser.add_argument("--out", type=Path, default=Path("work_dirs/neurons"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.INFO)
    forest = baseline(load_config(CONFIG)).accuracy
    print(f"forest of 500 trees: accuracy {forest:.3f}", flush=True)
    print(
        f"{'neuron':<14}{'T':>3}{'epochs':>8}{'CPU s':>8}{'accuracy':>10}{'above forest':>14}{'firing rate':>13}",
        flush=True,
    )
    rows = []
    for neuron in options.neurons:
        epochs = epochs_within(neuron, 60 * options.minutes, options.out)
        config, folder = experiment(neuron, options.seed, epochs), options.out / neuron
        start = time.process_time()
        train(build_runner(config, folder, overwrite=True))
        seconds = time.process_time() - start
        figures = score(config, folder / WEIGHTS).figures(str(CONFIG.name))
        rows.append(
            {"neuron": neuron, "time_steps": TIME_STEPS[neuron], "epochs": epochs, "seconds": seconds, **figures}
        )
        print(
            f"{neuron:<14}{TIME_STEPS[neuron]:>3}{epochs:>8}{seconds:>8.0f}{figures['accuracy']:>10.3f}"
            f"{figures['accuracy'] - forest:>+14.3f}{figures['firing_rate']:>13.3f}",
            flush=True,
        )
    (options.out / "neurons.json").write_text(json.dumps({"forest": forest, "neurons": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
