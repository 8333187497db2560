"""Figures that the experiments' pages state, measured again: shipped weights are scored, the others trained anew."""

import tomllib
from pathlib import Path

import pytest

from spikevox.tasks.config import load_config
from spikevox.tasks.runner import build_runner
from spikevox.tasks.session import verbs
from spikevox.tasks.training import WEIGHTS

APPS = Path(__file__).resolve().parents[2] / "apps"
NEEDS = {
    "modelnet": "modelnet10",
    "pandaset": "pandaset",
    "semantickitti": "semantickitti",
    "synthetic/segment_pandaset": "pandaset",
}
TABLES = [
    (path.parent, name, table)
    for path in sorted(APPS.glob("*/expected.toml"))
    for name, table in tomllib.loads(path.read_text(encoding="utf-8")).items()
]


def named(shipped):
    chosen = [entry for entry in TABLES if ("weights" in entry[2]) == shipped]
    return pytest.mark.parametrize(
        ("folder", "name", "table"), chosen, ids=[f"{folder.name}/{name}" for folder, name, _ in chosen]
    )


def find_data(data, folder, name):
    for key in (folder.name, f"{folder.name}/{name}"):
        if key in NEEDS:
            data(NEEDS[key])


def check(folder, name, table, weights):
    # A part of a large test split is enough to see that weights are scored as they were.
    config = load_config(folder / f"{name}.py", table.get("set", []))
    figures = verbs(config).score(config, weights).figures(name)
    assert abs(figures[table["metric"]] - table["value"]) <= table["tolerance"], figures


@named(shipped=True)
def test_shipped_weights_give_their_figure_again(folder, name, table, data):
    find_data(data, folder, name)
    check(folder, name, table, folder / table["weights"])


@pytest.mark.slow
@named(shipped=False)
def test_training_anew_reaches_the_figure(folder, name, table, data, tmp_path):
    find_data(data, folder, name)
    build_runner(load_config(folder / f"{name}.py"), tmp_path).train()
    check(folder, name, table, tmp_path / WEIGHTS)
