"""Verb ``energy``: what weights cost."""

import argparse
from pathlib import Path
from typing import Any

from spikevox.tasks.commands.command import add_verb, load, positive, show_page


def add_verbs(verbs: Any) -> None:
    """Adds energy."""
    energy = add_verb(verbs, "energy", _energy, "what weights cost on the test split, beside controls", config=True)
    energy.add_argument("weights", help=".safetensors or checkpoint")
    energy.add_argument("--samples", type=positive, default=32, help="of the test split, spread evenly; 32 by default")
    energy.add_argument("--relu", metavar="WEIGHTS", help="of the same network trained with ReLU; else a rough guess")
    energy.add_argument("--table", default="horowitz_45nm", help="constants: horowitz_45nm, jouppi_7nm or a .toml file")
    energy.add_argument("--out", metavar="DIR", help="folder for energy.json, .csv, .png, .md and tensorboard")
    energy.add_argument("--html", metavar="FILE", help="a page to look at where the first samples cost what, in 3D")
    energy.add_argument("--card", metavar="FILE", help="model card whose section of energy is written")
    energy.add_argument("--card-name", metavar="NAME", help="of the section, by default that of the weights")


def _energy(options: argparse.Namespace) -> None:
    from rich.progress import Progress

    from spikevox.tasks.energy import energy_card, energy_text, measure_energy, write_card, write_energy

    config = load(options)
    with Progress(transient=True) as bar:
        task = bar.add_task("samples")
        report = measure_energy(
            config,
            options.weights,
            samples=options.samples,
            relu=options.relu,
            table=options.table,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    print(energy_text(report))
    if options.out:
        print(f"written: {', '.join(str(path) for path in write_energy(report, options.out))}")
    if options.card:
        write_card(options.card, options.card_name or Path(options.weights).stem, energy_card(report))
        print(f"written: {options.card}")
    if options.html:
        from spikevox.tasks.energy import site_energy_scenes

        most = min(options.samples, 4)
        show_page(options.html, site_energy_scenes(config, options.weights, most=most, table=options.table))
