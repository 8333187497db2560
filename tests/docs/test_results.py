"""Figures that pages state are those that the benchmarks wrote down."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"


def section(page, title):
    """Lines of a table below a title."""
    lines = page.read_text(encoding="utf-8").split(f"## {title}\n", 1)[1].split("\n## ", 1)[0].splitlines()
    return [line for line in lines if line.startswith("|")]


def test_the_headline_table_of_the_readme_is_the_one_that_make_bench_wrote():
    table = section(RESULTS / "event_inference.md", "Ratios")
    assert len(table) > 5
    assert "\n".join(table) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_pages_and_their_figures_come_from_one_run():
    pages = sorted(RESULTS.glob("*.md"))
    assert pages
    for page in pages:
        stored = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
        assert stored["machine"]["date"] in page.read_text(encoding="utf-8"), page.name
        assert f"    {stored['command']}\n" in page.read_text(encoding="utf-8"), page.name
