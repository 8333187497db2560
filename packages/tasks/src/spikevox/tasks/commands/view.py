"""Verb ``view``: a page to look at."""

import argparse
from pathlib import Path
from typing import Any

from spikevox.tasks.commands.command import add_config_options, add_verb, load, show_page


def add_verbs(verbs: Any) -> None:
    """Adds view."""
    text = "write one page that any browser opens, to look at clouds, spikes, labels and boxes in 3D"
    view = add_verb(verbs, "view", _view, text)
    view.add_argument(
        "config",
        metavar="INPUT",
        help="experiment file, with weights; or a cloud file, or a folder of clouds or predictions",
    )
    view.add_argument("weights", nargs="?", help=".safetensors or checkpoint, of an experiment")
    view.add_argument("--out", default="view.html", metavar="FILE", help="the page, view.html by default")
    view.add_argument(
        "--sample", type=int, action="append", metavar="N", help="of the test split, 0 by default; repeat"
    )
    view.add_argument("--cloud", action="append", default=[], metavar="FILE", help="file or folder to show the network")
    view.add_argument("--spikes", action="store_true", help="the page opens with the spikes of the first layer")
    view.add_argument("--note", action="append", default=[], metavar="TEXT", help="line below the title; repeat")
    add_config_options(view)


def _view(options: argparse.Namespace) -> None:
    from spikevox.tasks.viewing import scenes_to_view

    network = {name: getattr(options, name) for name in ("sample", "cloud", "set", "data") if getattr(options, name)}
    config = load(options) if Path(options.config).suffix == ".py" else None
    scenes = scenes_to_view(options.config, config, options.weights, network, notes=options.note, spikes=options.spikes)
    show_page(options.out, scenes)
