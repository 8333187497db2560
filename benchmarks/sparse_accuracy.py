"""What firing less costs in accuracy: trainings of two recipes on the same test shapes, seed by seed.

Each config is scored with its weights, one clean view; the difference of the recipes is the mean over seeds of right shapes,
with the 95 % interval of a bootstrap that draws shapes, each with what all trainings say of it (paired). The weights are
what `spikevox train CONFIG --set randomness.seed=N --work-dir DIR` leaves.

    SPIKEVOX_DATA=data python benchmarks/sparse_accuracy.py --base W0 W1 W2 --sparse W0 W1 W2
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from support import results
from support.machine import describe
from support.results import Table

from spikevox.tasks.config import load_config
from spikevox.tasks.session import score

DRAWS = 20_000


HEADER = ("recipe", "seed", "accuracy, %", "spikes a value", "nonzero, %", "largest layer, %")


def right_shapes(config: Path, weights: list[Path]) -> tuple[NDArray[np.float64], list[list[object]]]:
    """(trainings, shapes): 1 where a training is right; and a row each."""
    right, rows = [], []
    for path in weights:
        scored = score(load_config(config), path)
        found = scored.evaluation
        right.append((found.scores.argmax(axis=1) == found.labels).astype(np.float64))
        largest = max(layer.nonzero for layer in found.firing.values())
        accuracy, shares = f"{100 * right[-1].mean():.2f}", (f"{100 * found.nonzero:.1f}", f"{100 * largest:.1f}")
        rows.append([config.stem, scored.facts["seed"], accuracy, f"{found.firing_rate:.3f}", *shares])
        print("".join(f"{cell!s:>20}" for cell in rows[-1]), flush=True)
    return np.stack(right), rows


def interval(difference: NDArray[np.float64]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of a value a shape."""
    draws = np.random.default_rng(0).integers(0, len(difference), (DRAWS, len(difference)))
    low, high = np.quantile(difference[draws].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Prints a row a training, then the difference, and writes both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    apps = Path(__file__).resolve().parent.parent / "apps" / "modelnet"
    parser.add_argument("--base", type=Path, nargs="+", required=True)
    parser.add_argument("--sparse", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    options = parser.parse_args()
    print("".join(f"{name:>20}" for name in HEADER))
    base, rows = right_shapes(apps / "classify_t.py", options.base)
    sparse, more = right_shapes(apps / "classify_t_sparse.py", options.sparse)
    difference = 100 * (sparse.mean(axis=0) - base.mean(axis=0))
    low, high = interval(difference)
    told = f"{difference.mean():+.2f} points, 95 % interval [{low:+.2f}, {high:+.2f}], {len(difference)} shapes"
    print(f"sparse - base: {told}")
    results.write(
        options.out,
        "sparse_accuracy",
        "python benchmarks/sparse_accuracy.py --base W0 W1 W2 --sparse W0 W1 W2",
        "# Accuracy of the sparse recipe against the plain one\n\nModelNet10's test split, one clean view. Mean difference over "
        f"seeds, paired bootstrap over shapes: **{told}**.",
        describe(),
        tables=[Table("Trainings", "", HEADER, [*rows, *more])],
        facts={"difference": difference.mean(), "interval": [low, high], "shapes": len(difference)},
    )


if __name__ == "__main__":
    main()
