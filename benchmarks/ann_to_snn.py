"""What a network trained with ReLU loses when its units fire integer spikes instead, without training.

ModelNet10's ReLU control, converted with scales from training shapes, scored on the 727 test shapes, one clean view each. The
weights are what `spikevox train apps/modelnet/classify_t_relu.py` leaves.

    SPIKEVOX_DATA=data python benchmarks/ann_to_snn.py WEIGHTS
"""

import argparse
from pathlib import Path

import torch
from support import results
from support.machine import describe
from support.results import Table

from spikevox.encoding import collate
from spikevox.layers import SparseTensor
from spikevox.layers.deploy import to_spiking
from spikevox.tasks.build import build
from spikevox.tasks.classification.scoring import evaluate
from spikevox.tasks.config import load_config
from spikevox.tasks.session import load_network, test_options

CONFIG = Path(__file__).resolve().parent.parent / "apps" / "modelnet" / "classify_t_relu.py"
LEVELS = (4, 8, 16)
HEADER = ("network", "levels", "accuracy, %", "lost, points", "spikes a value", "largest error of a unit, %")


def main() -> None:
    """Prints a row a number of levels, and writes them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--shapes", type=int, default=64, help="training shapes that scales are taken from")
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = load_config(CONFIG)
    test = build(test_options(config))
    network, facts = load_network(config, options.weights, test)
    network.eval()
    # Without the training's random transforms, as a deployed network would see them.
    train = build({**config["train_dataloader"]["dataset"], "transforms": test_options(config).get("transforms", [])})
    chosen = range(0, len(train), max(1, len(train) // options.shapes))[: options.shapes]
    batches = [collate([train[index]]) for index in chosen]
    calibration = [SparseTensor(b.features, b.coordinates, batch_size=1) for b in batches]
    plain = evaluate(network, test)
    rows = [["ReLU", "", f"{100 * plain.result.accuracy:.2f}", "", "", ""]]
    for levels in LEVELS:
        made = to_spiking(network, calibration, levels=levels, call=lambda model, x: model.logits(x))
        found = evaluate(made.network, test)
        lost = 100 * (plain.result.accuracy - found.result.accuracy)
        worst = 100 * max(unit.error for unit in made.units)
        cells = (f"{100 * found.result.accuracy:.2f}", f"{lost:.2f}", f"{found.firing_rate:.3f}", f"{worst:.1f}")
        rows.append(["converted", levels, *cells])
        print(rows[-1], flush=True)
    results.write(
        options.out,
        "ann_to_snn",
        "python benchmarks/ann_to_snn.py WEIGHTS",
        "# ReLU to integer spikes without training\n\nModelNet10's ReLU control (encoder T, seed "
        f"{facts['seed']}) with each unit replaced by a neuron of D levels; scales from {len(calibration)} training shapes. Test "
        "split, 727 shapes, one clean view. Error of a unit: root mean square of what it fires against what it was, on the "
        "shapes that scales are taken from.",
        describe(),
        tables=[Table("Accuracy", "", HEADER, rows)],
        facts={"shapes": len(test)},
    )


if __name__ == "__main__":
    main()
