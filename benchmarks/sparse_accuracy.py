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

from spikevox.tasks.config import load_config
from spikevox.tasks.session import score

DRAWS = 20_000


def right_shapes(config: Path, weights: list[Path]) -> NDArray[np.float64]:
    """(trainings, shapes): 1 where a training is right; prints a row each."""
    rows = []
    for path in weights:
        scored = score(load_config(config), path)
        evaluation = scored.evaluation
        right = evaluation.scores.argmax(axis=1) == evaluation.labels
        layers = evaluation.firing.values()
        print(
            f"{config.stem:<20}{scored.facts['seed']:>5}{100 * right.mean():>10.2f}{evaluation.firing_rate:>8.3f}"
            f"{100 * evaluation.nonzero:>10.1f}{100 * max(layer.nonzero for layer in layers):>10.1f}",
            flush=True,
        )
        rows.append(right.astype(np.float64))
    return np.stack(rows)


def interval(difference: NDArray[np.float64]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of a value a shape."""
    draws = np.random.default_rng(0).integers(0, len(difference), (DRAWS, len(difference)))
    low, high = np.quantile(difference[draws].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Prints a row a training, then the difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    apps = Path(__file__).resolve().parent.parent / "apps" / "modelnet"
    parser.add_argument("--base", type=Path, nargs="+", required=True)
    parser.add_argument("--sparse", type=Path, nargs="+", required=True)
    options = parser.parse_args()
    print(f"{'recipe':<20}{'seed':>5}{'accuracy':>10}{'rate':>8}{'nonzero %':>10}{'largest %':>10}")
    base = right_shapes(apps / "classify_t.py", options.base)
    sparse = right_shapes(apps / "classify_t_sparse.py", options.sparse)
    difference = 100 * (sparse.mean(axis=0) - base.mean(axis=0))
    low, high = interval(difference)
    print(
        f"sparse - base: {difference.mean():+.2f} points, 95 % interval [{low:+.2f}, {high:+.2f}], {len(difference)} shapes"
    )


if __name__ == "__main__":
    main()
