"""Results as JSON for programs and as a page of tables for readers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from support.floors import HEADER, Floor
from support.machine import sentence

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "results"


class Table(NamedTuple):
    """A table of a page.

    Attributes:
        title: above it.
        note: a sentence between title and table; may be empty.
        header: names of the columns.
        rows: cells.
    """

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def markdown(self) -> str:
        """As Markdown."""
        lines = [f"## {self.title}", "", *([self.note, ""] if self.note else []), _row(self.header)]
        lines.append(_row(["---", *["---:"] * (len(self.header) - 1)]))
        return "\n".join([*lines, *(_row(row) for row in self.rows)])


def write(
    folder: Path,
    name: str,
    command: str,
    text: str,
    machine: dict[str, Any],
    *,
    floors: Sequence[Floor] = (),
    tables: Sequence[Table] = (),
    facts: dict[str, Any] | None = None,
) -> None:
    """Writes ``name.json`` and ``name.md``.

    Args:
        folder: made where it is not there.
        name: of the benchmark.
        command: that makes the files again.
        text: the page's first lines, title included.
        machine: see :func:`support.machine.describe`.
        floors: rows of the last table.
        tables: before it.
        facts: all else, for the JSON file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{**row._asdict(), "state": row.state} for row in floors]
    stored = {"benchmark": name, "command": command, "machine": machine, "floors": rows, **(facts or {})}
    (folder / f"{name}.json").write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    if floors:
        tables = [*tables, Table("Floors", "", HEADER, [row.cells() for row in floors])]
    parts = [text, f"    {command}", f"{sentence(machine)}.", *(table.markdown() for table in tables)]
    (folder / f"{name}.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _row(cells: Sequence[Any]) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"
