"""A report of energy as text, JSON, a table of layers, pictures, and for tensorboard."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from spikevox.layers.energy import EnergyReport, verdict
from spikevox.layers.energy.conclusion import joules
from spikevox.layers.energy.forms import FORMS
from spikevox.layers.energy.pricing import Price
from spikevox.layers.energy.traffic import Traffic
from spikevox.tasks.atomic import write_atomically

_WIDTH = 176
_COLUMNS = (
    *("layer", "kind", "reads", "in_channels", "out_channels", "pairs", "fan_out", "macs", "acs"),
    *("additions", "membrane_updates", "firing_rate", "levels"),
)


def energy_text(report: EnergyReport) -> str:
    """Tables of layers and of forms, and what they say."""
    out = io.StringIO()
    console = Console(file=out, width=_WIDTH)
    console.print(_layers(report))
    console.print(_forms(report))
    lines = [out.getvalue().rstrip(), verdict(report), _stem(report)]
    if report.relu:
        lines.append(f"ReLU: {report.relu}.")
    if report.counts.uncounted:
        lines.append(f"Not counted: {', '.join(report.counts.uncounted)}.")
    if report.counts.apart:
        places = sorted({module for module, _, _ in report.counts.apart})
        total = sum(numbers for *_, numbers in report.counts.apart) / report.counts.samples
        lines.append(f"Apart from features: arithmetic that made {total:.3g} numbers a sample in {', '.join(places)}.")
    return "\n".join(lines)


def _stem(report: EnergyReport) -> str:
    found = report.published
    if not found.layers:
        return "Published script's stem-only figure: no layer is called stem."
    return (
        f"Published script's stem-only figure, which is not the network's energy: {found.flops:.3g} FLOPs, "
        f"{joules(found.picojoules)} a sample."
    )


def _layers(report: EnergyReport) -> Table:
    table = Table(title=f"layers with weights, a sample (mean of {report.counts.samples})")
    table.add_column("layer", overflow="fold")
    for name in (
        "reads",
        "channels",
        "pairs",
        "fan-out",
        "MACs",
        "ACs",
        "rate",
        "levels 0..D, %",
        "Mbit",
        "spikes",
        "ReLU",
    ):
        table.add_column(name, justify="right")
    for row in report.weighted:
        spiking = row.reads == "spikes"
        table.add_row(
            row.name,
            row.reads,
            "->".join(map(str, row.channels)),
            f"{row.pairs:.0f}",
            f"{row.fan_out:.2f}",
            f"{row.macs:.3g}",
            f"{row.acs:.3g}" if spiking else "-",
            f"{row.firing_rate:.3f}" if spiking else "-",
            " ".join(f"{100 * share:.1f}" for share in row.levels) if spiking else "-",
            f"{sum(row.bits['spiking'].values()) / 1e6:.3g}",
            joules(row.picojoules["spiking"].synaptic),
            joules(row.picojoules["relu_dense"].synaptic),
        )
    return table


def _forms(report: EnergyReport) -> Table:
    table = Table(title=f"energy a sample, {report.table.title}: mean [95 % interval], times that of spikes, tie")
    table.add_column("form")
    table.add_column("precision")
    for title in ("layers with weights", "all, weights fetched once", "all, a weight for each product"):
        table.add_column(title, justify="right")
        table.add_column("times", justify="right")
        table.add_column("tie", justify="right")
    by_control = {(c.control, c.part): c for c in report.comparisons}
    for name, parts in report.forms.items():
        cells: list[str] = [FORMS[name].title, FORMS[name].precision]
        for part, interval in parts.items():
            compared = by_control.get((name, part))
            cells.append(_interval(interval))
            cells.append("-" if compared is None else f"{compared.ratio.mean:.2f}")
            cells.append("-" if compared is None else f"{compared.tie:.2f}")
        table.add_row(*cells)
    return table


def _interval(interval: Any) -> str:
    return f"{joules(interval.mean)} [{joules(interval.low)}, {joules(interval.high)}]"


def layer_csv(report: EnergyReport) -> str:
    """A line a layer; of each form the bits that it moves and what it takes."""
    out = io.StringIO()
    writer = csv.writer(out)
    names = list(report.forms)
    prices = [(name, part) for name in names for part in Price._fields]
    bits = [(name, part) for name in names for part in Traffic._fields]
    writer.writerow([*_COLUMNS, *(f"{n}_{p}_pj" for n, p in prices), *(f"{n}_{p}_bits" for n, p in bits)])
    for row in report.layers:
        rate = "" if math.isnan(row.firing_rate) else row.firing_rate
        levels = " ".join(f"{share:.6f}" for share in row.levels)
        figures = (row.pairs, row.fan_out, row.macs, row.acs, row.additions, row.membrane_updates, rate, levels)
        taken = [getattr(row.picojoules[name], part) for name, part in prices]
        moved = [row.bits[name][part] for name, part in bits]
        writer.writerow([row.name, row.kind, row.reads, *row.channels, *figures, *taken, *moved])
    return out.getvalue()


def energy_figure(report: EnergyReport) -> Any:
    """Bars a layer: energy of layers with weights, with spikes and with ReLU."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    shown = [name for name in ("relu_dense", "relu_skipping", "spiking") if name in report.forms]
    # Of the palette of Okabe and Ito, which colour-blind readers tell apart.
    colours = {"relu_dense": "#999999", "relu_skipping": "#56B4E9", "spiking": "#D55E00"}
    layers = report.weighted
    figure = Figure(figsize=(8, 1.5 + 0.22 * len(layers)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(shown)
    for place, name in enumerate(shown):
        values = [row.picojoules[name].synaptic * 1e-6 for row in layers]
        rows = [index + (place - (len(shown) - 1) / 2) * height for index in range(len(values))]
        axes.barh(rows, values, height, color=colours[name], label=FORMS[name].title)
    axes.set_yticks(range(len(layers)), [row.name for row in layers], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("layers with weights, microjoules a sample")
    axes.set_xlim(left=0)
    axes.legend()
    return figure


def write_energy(report: EnergyReport, folder: str | Path, *, name: str = "energy") -> list[Path]:
    """Writes ``name.json``, ``.csv``, ``.png``, ``.md`` (a section of a model card) and events for tensorboard."""
    from torch.utils.tensorboard import SummaryWriter

    from spikevox.tasks.energy.card import energy_card
    from spikevox.tasks.view import save_figure

    folder = Path(folder)
    figures = json.dumps(_finite(report.figures()), indent=2, allow_nan=False) + "\n"
    files = [folder / f"{name}.{ending}" for ending in ("json", "csv", "md", "png")]
    for path, text in zip(files, (figures, layer_csv(report), energy_card(report)), strict=False):
        write_atomically(path, text.encode())
    figure = energy_figure(report)
    save_figure(figure, files[-1])
    with SummaryWriter(str(folder / "tensorboard")) as writer:
        for form, parts in report.forms.items():
            for part, interval in parts.items():
                writer.add_scalar(f"{name}/{form}_{part}_pj", interval.mean, 0)
        for row in report.weighted:
            writer.add_scalar(f"{name}_layer/{row.name}", row.picojoules["spiking"].synaptic, 0)
        writer.add_figure(name, figure, 0)
    return files


def _finite(value: Any) -> Any:
    """JSON has no NaN: a rate of real values is ``None``."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value
