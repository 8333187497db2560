"""Timing, floors and result files of the benchmarks."""

import json
import time

import pytest
from support import results
from support.floors import HEADER, Floor, line
from support.results import Table
from support.timing import interleave


@pytest.mark.parametrize(
    ("ratio", "floor", "binding", "state"),
    [
        (4.8, 4.8, True, "ok"),
        (4.79, 4.8, True, "MISSED"),
        (4.79, 4.8, False, "n/a"),
        (None, 4.3, True, "n/a"),
        (9.0, None, True, "n/a"),
    ],
)
def test_a_floor_is_missed_only_where_it_binds(ratio, floor, binding, state):
    row = Floor("network", 1.0, 4.8, None, ratio, floor, binding)
    assert row.state == state
    assert line(row.cells()).split()[-1] == state
    assert len(row.cells()) == len(HEADER)


def test_jobs_take_turns_and_the_first_round_does_not_count():
    order = []

    def job(name, first):
        def run():
            time.sleep(0.05 if name not in order and first else 0.001)
            order.append(name)

        return run

    times = interleave({"a": job("a", True), "b": job("b", False)}, 3)
    assert order == ["a", "b"] * 4
    assert 1 <= times["a"].wall.least <= times["a"].wall.median <= times["a"].wall.largest < 50
    # Sleeping takes no time of the processor.
    assert times["a"].cpu.median < times["a"].wall.median
    assert times["a"].over(2).wall.median == times["a"].wall.median / 2


def test_results_are_written_for_programs_and_readers(tmp_path):
    machine = {"processor": "P", "cores": 2, "threads": 1, "instruction_set": "avx2", "load_average": [0.5],
               "versions": {"torch": "2", "spconv": None}, "system": "Linux", "date": "today"}  # fmt: skip
    floor = Floor("network", 1.0, 4.0, None, 4.0, 4.8, True)
    table = Table("Layers", "a note", ["layer", "ms"], [["first", 1.5]])
    results.write(tmp_path, "name", "python it.py", "# Title", machine, floors=[floor], tables=[table], facts={"x": 1})
    stored = json.loads((tmp_path / "name.json").read_text())
    assert stored["floors"][0]["state"] == "MISSED"
    assert stored["x"] == 1
    page = (tmp_path / "name.md").read_text()
    assert "| network | 1.00 | 4.00 | - | 4.00 | 4.8 | MISSED |" in page
    assert "spconv absent" in page
    assert "| first | 1.5 |" in page
