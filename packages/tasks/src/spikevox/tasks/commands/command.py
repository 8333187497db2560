"""What the verbs share: options, and what they write."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_verb(
    verbs: Any, name: str, run: Callable[[argparse.Namespace], None], text: str, *, config: bool = False
) -> argparse.ArgumentParser:
    """Adds a verb whose ``run`` is called with the options; ``config`` gives it an experiment file and what overrides that."""
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")
    if config:
        parser.add_argument("config", help="experiment file")
        add_config_options(parser)
    return parser


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Options that override values of an experiment."""
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a value")
    parser.add_argument("--data", metavar="DIR", help="data folder, by default $SPIKEVOX_DATA or ./data")


def positive(text: str) -> int:
    """Type of an option: a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def load(options: argparse.Namespace) -> dict[str, Any]:
    """The experiment that the options name."""
    from spikevox.tasks.config import load_config

    return load_config(options.config, options.set)


def show_page(path: str | Path, scenes: Any) -> None:
    """Writes scenes as a page to look at, and says so."""
    from spikevox.tasks.view import save_page

    shown = list(scenes)
    print(f"page: {path}, {save_page(path, shown) / 1e6:.1f} MB, {len(shown)} scenes")


def write_json(path: str | Path, content: Any) -> None:
    """Writes figures whole or not at all."""
    from spikevox.tasks.atomic import write_atomically

    write_atomically(Path(path), (json.dumps(content, indent=2) + "\n").encode())
