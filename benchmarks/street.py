"""Time of making one sweep of a street, by kind of LiDAR, on one core.

The wanted speed is 60,000 points in 0.3 s: the last column is the time of as many points.

    python benchmarks/street.py --streets 5 --rounds 5
"""

import argparse
import time
from dataclasses import replace
from statistics import median

from spikevox.tasks.datasets import CITY, HDL64, PANDAR64, SUBURB, Street

LIMIT = 300.0  # milliseconds for 60,000 points


def timed(seed: int, index: int, **options: object) -> tuple[float, float, int]:
    """Milliseconds to lay a street out and to make one sweep of it, and the sweep's points."""
    start = time.perf_counter()
    street = Street(seed, **options)  # type: ignore[arg-type]
    street.pose(0.0)
    laid_out = time.perf_counter()
    points = len(street.frame(index).points)
    return 1e3 * (laid_out - start), 1e3 * (time.perf_counter() - laid_out), points


def main() -> None:
    """Prints a row a LiDAR; fails where 60,000 points take longer than they may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streets", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{'lidar':>22} {'points':>8} {'street ms':>10} {'sweep ms':>9} {'60k points ms':>14}")
    slowest = 0.0
    for name, lidar, style in (
        ("Pandar64", PANDAR64, CITY),
        ("Pandar64, half steps", replace(PANDAR64, steps=900), CITY),
        ("HDL-64E", HDL64, SUBURB),
    ):
        rounds = [timed(s, 0, lidar=lidar, style=style) for _ in range(options.rounds) for s in range(options.streets)]
        laid_out, sweep, points = (median(column) for column in zip(*rounds, strict=True))
        scaled = median((row[0] + row[1]) / row[2] * 60_000 for row in rounds)
        slowest = max(slowest, scaled)
        print(f"{name:>22} {points:>8.0f} {laid_out:>10.1f} {sweep:>9.1f} {scaled:>14.1f}")
    if slowest > LIMIT:
        raise SystemExit(f"60,000 points take {slowest:.0f} ms, more than {LIMIT:.0f}")


if __name__ == "__main__":
    main()
