"""Verb ``convert``: published weights into ours, and back."""

import argparse
from typing import Any

from spikevox.encoding.errors import SpikevoxError
from spikevox.tasks.commands.command import add_verb


def add_verbs(verbs: Any) -> None:
    """Adds convert."""
    convert = add_verb(verbs, "convert", _convert, "weights of published networks of spconv into ours, or back")
    convert.add_argument("file", help="file of Pointcept or OpenPCDet; weights of ours with --to-format")
    convert.add_argument("--to", required=True, metavar="OUT", help=".safetensors; .pth with --to-format")
    convert.add_argument("--to-format", choices=["pointcept", "openpcdet"], help="back: what the published code loads")
    convert.add_argument(
        "--from", dest="framework", choices=["auto", "pointcept", "openpcdet"], default="auto", help="whose file it is"
    )
    convert.add_argument(
        "--network",
        choices=[
            "auto",
            "classifier",
            "segmenter",
            "voxel8x",
            "single_stage",
            "voxel_rcnn",
            "voxelnext",
            "voxelnext_detector",
        ],
        default="auto",
        help="voxel8x, voxelnext: the 3D backbone of a detector alone, without its heads",
    )
    convert.add_argument("--config", help="experiment that the weights are for, by default the published one")
    convert.add_argument("--spconv", type=int, choices=[1, 2], help="order of the kernels, by default what shapes tell")


def _convert(options: argparse.Namespace) -> None:
    from spikevox.tasks.conversion import export_weights, import_weights

    if options.to_format:
        if options.config or options.network != "auto" or options.framework != "auto":
            raise SpikevoxError("--to-format goes with --spconv alone: the weights themselves tell their network.")
        report = export_weights(options.file, options.to, framework=options.to_format, spconv=options.spconv)
    else:
        report = import_weights(
            options.file,
            options.to,
            framework=options.framework,
            network=options.network,
            config=options.config,
            spconv=options.spconv,
        )
    print(report)
    print(f"written: {options.to}")
