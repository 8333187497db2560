"""A section about energy for a model card, written from a report and replaced where it stands already."""

import re
from pathlib import Path
from textwrap import fill

from spikevox.layers.energy import EnergyReport, verdict
from spikevox.layers.energy.conclusion import joules
from spikevox.layers.energy.forms import FORMS
from spikevox.tasks.atomic import write_atomically
from spikevox.tasks.errors import ConfigError

_WIDTH = 128


def energy_card(report: EnergyReport) -> str:
    """Markdown: a table of the forms, then the verdict."""
    rows = []
    for name, parts in report.forms.items():
        compared = {c.part: c for c in report.comparisons if c.control == name}
        cells = [FORMS[name].title, FORMS[name].precision]
        for part, interval in parts.items():
            cells += [joules(interval.mean), f"{compared[part].ratio.mean:.2f}" if part in compared else ""]
        rows.append(f"| {' | '.join(cells)} |")
    macs, acs = (report.counts.total(key) / report.counts.samples for key in ("macs", "acs"))
    head = fill(
        f"{macs:.3g} multiplications of the dense form and {acs:.3g} spike additions a sample. Energy a sample, and times that "
        "of spikes in the same precision:",
        _WIDTH,
    )
    lines = [
        head,
        "",
        "| form | precision | layers with weights | times | all, weights once | times | all, a weight a product | times |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *rows,
        "",
        fill(verdict(report), _WIDTH, break_long_words=False, break_on_hyphens=False),
    ]
    if report.relu:
        lines += ["", f"ReLU: {report.relu}."]
    return "\n".join(lines) + "\n"


def write_card(path: str | Path, name: str, text: str) -> None:
    """Puts a section between ``<!-- energy: NAME -->`` and ``<!-- end of energy: NAME -->`` of a Markdown file.

    Raises:
        ConfigError: the file has no such two lines.
    """
    path = Path(path)
    start, end = f"<!-- energy: {name} -->", f"<!-- end of energy: {name} -->"
    content = path.read_text(encoding="utf-8")
    pattern = re.compile(re.escape(start) + r"\n.*?" + re.escape(end), flags=re.DOTALL)
    if not pattern.search(content):
        raise ConfigError(f"{path} has no lines {start} and {end} to write between.")
    written = pattern.sub(lambda _: f"{start}\n{text.strip()}\n{end}", content, count=1)
    write_atomically(path, written.encode())
