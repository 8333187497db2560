"""Time of jobs that take turns in one process."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, NamedTuple

ROUNDS = 9


class Spread(NamedTuple):
    """Milliseconds over the rounds."""

    median: float
    least: float
    largest: float

    def over(self, parts: int) -> "Spread":
        """A part's, where a job runs several."""
        return Spread(*(value / parts for value in self))

    def __str__(self) -> str:
        digits = 0 if self.median >= 100 else 1 if self.median >= 10 else 2
        return f"{self.median:.{digits}f} [{self.least:.{digits}f}, {self.largest:.{digits}f}]"


class Timing(NamedTuple):
    """A job's time: of the processor, spent by all threads of this process, and on the wall."""

    cpu: Spread
    wall: Spread

    def over(self, parts: int) -> "Timing":
        """A part's, where a job runs several."""
        return Timing(self.cpu.over(parts), self.wall.over(parts))

    def facts(self) -> dict[str, Any]:
        """For a JSON file."""
        return {"cpu_ms": self.cpu._asdict(), "wall_ms": self.wall._asdict()}


def interleave(
    jobs: Mapping[str, Callable[[], object]], rounds: int = ROUNDS, *, warm_up: int = 1
) -> dict[str, Timing]:
    """Times jobs round by round, each once a round, so that a change in the machine's load meets all of them.

    Args:
        jobs: by name.
        rounds: that count.
        warm_up: rounds before them that do not.
    """
    cpu: dict[str, list[float]] = {name: [] for name in jobs}
    wall: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(warm_up + rounds):
        for name, job in jobs.items():
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            job()
            cpu[name].append(1e3 * (time.process_time() - cpu_start))
            wall[name].append(1e3 * (time.perf_counter() - wall_start))
    return {name: Timing(spread_of(cpu[name][warm_up:]), spread_of(wall[name][warm_up:])) for name in jobs}


def spread_of(values: list[float]) -> Spread:
    """Median and range."""
    return Spread(median(values), min(values), max(values))
