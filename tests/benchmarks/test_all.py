"""`make bench` runs every benchmark, and tells of floors that were missed."""

import importlib
import json
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def runner():
    return importlib.import_module("all")


def test_every_benchmark_is_listed_but_the_one_that_needs_trainings(runner):
    there = {path.name for path in ROOT.glob("*.py")} - {
        "all.py",
        "sparse_accuracy.py",
        "rate_tradeoff.py",
        "ann_to_snn.py",
    }
    assert {benchmark.file for benchmark in runner.BENCHMARKS} == there


def test_floors_are_those_of_this_run(runner, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "FOLDER", tmp_path)
    row = {"name": "n", "ours": 1.0, "minkowski": 4.0, "spconv": None, "ratio": 4.0, "floor": 4.8, "binding": True}
    (tmp_path / "x_avx2.json").write_text(json.dumps({"floors": [{**row, "state": "MISSED"}]}))
    benchmark = runner.Benchmark("x.py", "x_avx2", simd="avx2")
    (floor,) = runner.floors_of(benchmark, time.time() - 60)
    assert (floor.name, floor.state) == ("n, avx2", "MISSED")
    assert runner.floors_of(benchmark, time.time() + 60) == []
    assert runner.floors_of(runner.Benchmark("x.py"), 0.0) == []


@pytest.mark.parametrize("status", [0, 1])
def test_a_benchmark_that_fails_is_told_and_fails_the_run(runner, monkeypatch, capsys, status):
    monkeypatch.setattr(runner, "run", lambda benchmark, rounds: status)
    monkeypatch.setattr(runner, "floors_of", lambda benchmark, since: [])
    monkeypatch.setattr("sys.argv", ["all.py", "--only", "storage.py"])
    assert runner.main() == status
    assert ("storage.py failed with status 1" in capsys.readouterr().out) == bool(status)
