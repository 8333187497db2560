"""Every benchmark that needs no weights of the user's own, one after the other; all floors together at the end.

`sparse_accuracy.py`, `rate_tradeoff.py` and `ann_to_snn.py` need trainings and stand apart. The neurons get a few seconds each
here, enough to see that they run and learn; their own default is minutes. Exits with 1 where a floor is missed or a benchmark
fails.

    SPIKEVOX_DATA=data python benchmarks/all.py [--rounds 9] [--only memory.py ...]
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from support.floors import HEADER, Floor, line
from support.machine import has
from support.results import FOLDER
from support.timing import ROUNDS

from spikevox.layers import native

HERE = Path(__file__).resolve().parent


class Benchmark(NamedTuple):
    """A file, its arguments, and what is set for it.

    Attributes:
        file: in this folder.
        result: name of the JSON file that it writes, if it writes one.
        rounds: whether it takes ``--rounds``.
        arguments: others.
        simd: instruction set that it is held to.
    """

    file: str
    result: str = ""
    rounds: bool = False
    arguments: tuple[str, ...] = ()
    simd: str = ""


BENCHMARKS = (
    Benchmark("storage.py"),
    Benchmark("coders.py"),
    Benchmark("voxelize.py"),
    Benchmark("box_overlap.py"),
    Benchmark("detection_metrics.py"),
    Benchmark("street.py"),
    Benchmark("street_facts.py"),
    Benchmark("neurons.py", arguments=("--minutes", "0.2")),
    Benchmark("training_step.py", "training_step", rounds=True),
    # Says so where there is no GPU.
    Benchmark("gpu_step.py"),
    Benchmark("full_step.py", "full_step"),
    Benchmark("memory.py", "memory"),
    Benchmark("scan.py", "scan", rounds=True),
    Benchmark("detector_frame.py", "detector_frame", rounds=True),
    Benchmark("energy_published.py", "energy_published"),
    Benchmark("energy_shipped.py", "energy_shapes", arguments=("shapes",)),
    Benchmark("energy_shipped.py", "energy_scenes", arguments=("scenes",)),
    Benchmark("cost_against_work.py", "cost_against_work", rounds=True),
    # Held to AVX2 first: the page of the other run shows both.
    Benchmark("event_inference.py", "event_inference_avx2", rounds=True, simd="avx2"),
    Benchmark("event_inference.py", "event_inference", rounds=True),
)


def run(benchmark: Benchmark, rounds: int) -> int:
    """Runs a benchmark in a process of its own and returns its exit status."""
    arguments = [*benchmark.arguments, *(["--rounds", str(rounds)] if benchmark.rounds else [])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if benchmark.simd:
        environment["SPIKEVOX_SIMD"] = benchmark.simd
    print(f"== {benchmark.simd} {benchmark.file} {' '.join(arguments)}".replace("==  ", "== "), flush=True)
    start = time.monotonic()
    command = [sys.executable, str(HERE / benchmark.file), *arguments]
    status = subprocess.run(command, env=environment, check=False).returncode
    print(f"-- {time.monotonic() - start:.0f} s\n", flush=True)
    return status


def floors_of(benchmark: Benchmark, since: float) -> list[Floor]:
    """Floors that a benchmark wrote in this run."""
    path = FOLDER / f"{benchmark.result}.json"
    if not benchmark.result or not path.is_file() or path.stat().st_mtime < since:
        return []
    stored: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["floors"]
    rows = [Floor(**{name: row[name] for name in Floor._fields}) for row in stored]
    return [row._replace(name=f"{row.name}, {benchmark.simd}") if benchmark.simd else row for row in rows]


def main() -> int:
    """Prints what each benchmark prints, then the floors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", nargs="+", help="files to run", choices=sorted({b.file for b in BENCHMARKS}))
    options = parser.parse_args()
    start = time.time()
    wanted = [b for b in BENCHMARKS if options.only is None or b.file in options.only]
    # Held to the set that it uses anyway, a benchmark would run twice.
    wanted = [b for b in wanted if not b.simd or (native.available() and has(b.simd) and native.simd() != b.simd)]
    statuses = {benchmark: run(benchmark, options.rounds) for benchmark in wanted}
    floors = [floor for benchmark in wanted for floor in floors_of(benchmark, start)]
    print(line(HEADER))
    for floor in floors:
        print(line(floor.cells()))
    # A missed floor is among the rows; any other failure is told here.
    for benchmark, status in statuses.items():
        if status and not any(floor.state == "MISSED" for floor in floors_of(benchmark, start)):
            print(f"{benchmark.file} failed with status {status}")
    print(f"{(time.time() - start) / 60:.0f} minutes")
    return int(any(statuses.values()))


if __name__ == "__main__":
    sys.exit(main())
