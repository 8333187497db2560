"""Energy of the shipped networks on their test splits, beside controls: counts, prices with intervals, and what they say.

Each network runs on samples of the test split of its own experiment, spread evenly over it, one at a time: `shapes` are the
classifiers of ModelNet10, `scenes` segmentation and detectors. `--relu` names weights of ModelNet10's network trained with ReLU
(`spikevox train apps/modelnet/classify_t_relu.py`) and `--trained` says how; without it, and for scenes, ReLU runs on the spiking
network's own weights, which tells only roughly how many activations are 0. `--cards` writes the section of each model card too.

    SPIKEVOX_DATA=data python benchmarks/energy_shipped.py shapes --samples 727 [--relu WEIGHTS --trained TEXT] [--cards]
    SPIKEVOX_DATA=data python benchmarks/energy_shipped.py scenes --samples 4 [--cards]
"""

import argparse
import os
from pathlib import Path
from typing import Any

import torch
from support import results
from support.machine import describe
from support.results import Table

from spikevox.layers.energy import EnergyReport, OperationCounts, energy_report, load_table, verdict
from spikevox.layers.energy.conclusion import joules
from spikevox.layers.energy.forms import FORMS
from spikevox.tasks import load_config
from spikevox.tasks.build import build
from spikevox.tasks.energy import count_samples, energy_card, energy_figure, measure_energy, write_card
from spikevox.tasks.energy.samples import spread
from spikevox.tasks.predictor import load_described
from spikevox.tasks.session import test_options
from spikevox.tasks.view import save_figure

ROOT = Path(__file__).resolve().parents[1]
TEXT = """# Energy of the shipped networks

Operations on samples of the test split of each network's experiment, one sample at a time, priced with published constants.
Layers with weights: what papers state, multiplications of layers that read reals and additions of those that read spikes. All:
with neurons, shortcuts, biases and memory, as [stated](../energy.md), between two bounds of what fetching weights takes. Times:
of the form with spikes in the same precision; above 1 spikes win."""


# By page, and samples where nothing else is said.
NETWORKS = {
    "shapes": ("modelnet/classify_t", "modelnet/classify_t_sparse"),
    "scenes": (
        *("synthetic/segment", "synthetic/detect", "synthetic/detect_two_stage", "synthetic/detect_voxelnext"),
        *("pandaset/segment", "pandaset/detect"),
    ),
}
SAMPLES = {"shapes": 727, "scenes": 4}


def rows_of(title: str, report: EnergyReport) -> list[list[Any]]:
    """A row a form."""
    rows = []
    for name, parts in report.forms.items():
        compared = {c.part: c for c in report.comparisons if c.control == name}
        cells: list[Any] = [title, FORMS[name].title, FORMS[name].precision]
        for part, interval in parts.items():
            ratio = compared.get(part)
            cells.append(f"{joules(interval.mean)} [{joules(interval.low)}, {joules(interval.high)}]")
            cells.append("-" if ratio is None else _times(ratio.ratio))
            cells.append("-" if ratio is None else f"{ratio.tie:.2f} {ratio.tie_unit}")
        rows.append(cells)
    return rows


def _times(ratio: Any) -> str:
    return f"{ratio.mean:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


def counts_row(title: str, report: EnergyReport) -> list[Any]:
    """Counts a sample."""
    counts, count = report.counts, report.counts.samples
    rate = report.rate
    return [
        title,
        count,
        *(f"{counts.total(name) / count:.3g}" for name in ("macs", "acs")),
        f"{sum(layer.macs for layer in counts.weighted('reals')) / count:.3g}",
        f"{rate.mean:.3f} [{rate.low:.3f}, {rate.high:.3f}]",
        f"{report.level:.2f}",
        joules(report.published.picojoules) if report.published.layers else "-",
        report.relu,
    ]


_counted: dict[Path, list[OperationCounts]] = {}


def counted(weights: Path, config: dict[str, Any], samples: int) -> list[OperationCounts]:
    """Counts of weights on samples of a test split; those of a control that several networks share are made once."""
    if weights not in _counted:
        dataset = build(test_options(config))
        network = load_described(weights)[0].eval()
        _counted[weights] = count_samples(network, dataset, spread(len(dataset), samples))
    return _counted[weights]


def main() -> None:
    """Prints what is said of each network and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", choices=list(NETWORKS))
    parser.add_argument("--samples", type=int, help="of each test split")
    parser.add_argument("--relu", type=Path, help="weights of ModelNet10's network trained with ReLU")
    parser.add_argument("--trained", default="", help="what is said of these weights")
    parser.add_argument("--table", default="horowitz_45nm")
    parser.add_argument("--cards", action="store_true", help="write the section of each model card")
    parser.add_argument("--out", type=Path, default=results.FOLDER, help="folder of the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    machine = describe()
    count = options.samples or SAMPLES[options.page]
    relu = None if options.relu is None else options.relu.resolve()
    # Experiments name their files from the root.
    os.chdir(ROOT)
    prices, counts, said, facts = [], [], [], {}
    for title in NETWORKS[options.page]:
        app, name = ROOT / "apps" / title.split("/")[0], title.split("/")[1]
        config = load_config(app / f"{name}.py")
        weights = app / "weights" / f"{name}.safetensors"
        if relu is None:
            report = measure_energy(config, weights, samples=count, table=options.table)
        else:
            report = energy_report(
                counted(weights, config, count),
                relu=counted(relu, config, count),
                relu_from=options.trained or f"trained with ReLU, {relu.name}",
                table=load_table(options.table),
            )
        print(f"{title}: {verdict(report)}\n", flush=True)
        prices += rows_of(title, report)
        counts.append(counts_row(title, report))
        said.append([title, verdict(report)])
        facts[title] = {key: value for key, value in report.figures().items() if key != "layers"}
        save_figure(energy_figure(report), options.out / f"energy_{title.replace('/', '_')}.png")
        if options.cards:
            write_card(app / "README.md", name, energy_card(report))
    table = load_table(options.table)
    header = ["network", "form", "precision"]
    for part in ("layers with weights", "all, weights fetched once", "all, a weight a product"):
        header += [f"{part}, a sample", "times", "tie"]
    command = f"python benchmarks/energy_shipped.py {options.page} --samples {count}"
    results.write(
        options.out,
        f"energy_{options.page}",
        command + ("" if relu is None else f' --relu {relu.name} --trained "{options.trained}"'),
        f"{TEXT}\n\nConstants: {table.title} ({table.source}).",
        machine,
        tables=[
            Table(
                "Counts a sample",
                "Rate: spikes a product of the dense form. Level: spikes a product whose input is not 0.",
                [
                    "network",
                    "samples",
                    "MACs",
                    "ACs",
                    "MACs on reals",
                    "rate",
                    "level",
                    "script's stem-only figure",
                    "ReLU",
                ],
                counts,
            ),
            Table("Energy", "Mean and 95 % bootstrap interval over samples.", header, prices),
            Table("In words", "", ["network", "what the figures say"], said),
        ],
        facts={"table": options.table, "networks": facts},
    )


if __name__ == "__main__":
    main()
