"""Verb ``export``: trained weights as a file for hardware."""

import argparse
from typing import Any

from spikevox.tasks.commands.command import add_verb, load, positive


def add_verbs(verbs: Any) -> None:
    """Adds export."""
    export = add_verb(verbs, "export", _export, "trained weights as a file for hardware", config=True)
    export.add_argument("weights", help=".safetensors or checkpoint")
    export.add_argument("out", help="the file")
    export.add_argument(
        "--format",
        required=True,
        choices=["pack", "nir", "events"],
        help="pack: network in integers (.npz); nir: NIR graph (HDF5); events: what the integers fire on a test sample",
    )
    export.add_argument("--samples", type=positive, default=32, help="training samples that set the input's scale")
    export.add_argument("--index", type=int, default=0, help="test sample whose events are written, 0 by default")
    export.add_argument("--score", action="store_true", help="also score a classifier in integers on the test split")


def _export(options: argparse.Namespace) -> None:
    from spikevox.tasks.export import export_network, score_integers

    config = load(options)
    arguments = (config, options.weights, options.format, options.out)
    for line in export_network(*arguments, samples=options.samples, index=options.index):
        print(line)
    if options.score:
        floating, whole = score_integers(config, options.weights, samples=options.samples)
        print(f"accuracy on the test split: {floating:.4f} in floating point, {whole:.4f} in integers")
