"""The ``spikevox`` command: each verb parses, calls one public function, and shows the result.

Exit codes: 0 done; 1 an error that was told on standard error; 2 wrong usage; 3 an error that nobody foresaw;
130 interrupted; 141 the reader of the output has gone.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence

from spikevox.encoding.errors import SpikevoxError
from spikevox.tasks.commands import convert, data, energy, export, network, view
from spikevox.tasks.commands.command import add_verb, load

_OPENCV = "pip uninstall -y opencv-python; pip install opencv-python-headless"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb and returns the exit code."""
    options = _parser().parse_args(arguments)
    _start_logging()
    if getattr(options, "data", None):
        os.environ["SPIKEVOX_DATA"] = options.data
    try:
        options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read along (head, less) has gone; nothing is left to be said, not even when Python flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (Exception, KeyboardInterrupt) as error:
        if options.debug:
            raise
        code, text = _explain(error)
        print(f"spikevox: {text}", file=sys.stderr)
        return code
    return 0


def _explain(error: BaseException) -> tuple[int, str]:
    """Exit code and text of an error."""
    if isinstance(error, KeyboardInterrupt):
        return 130, "interrupted"
    if isinstance(error, SpikevoxError | OSError):
        return 1, str(error)
    if isinstance(error, ImportError) and any(word in str(error) for word in ("cv2", "libGL", "libxcb", "libgthread")):
        return 1, f"OpenCV does not import here ({error}). Run: {_OPENCV}"
    return 3, f"unexpected {type(error).__name__}: {error}. Run again with --debug to see where it comes from."


class _StandardOutput(logging.Handler):
    """Writes to what standard output is at the moment: a progress bar puts itself in between."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), flush=True)


def _start_logging() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[_StandardOutput()])
    for noisy in ("mmengine", "matplotlib"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spikevox",
        description="Event-driven 3D recognition with spiking networks.",
        epilog="Exit codes: 0 done, 1 an error that is told, 2 wrong usage, 3 an unforeseen error, 130 interrupted.",
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    network.add_verbs(verbs)
    for group in (view, energy, convert, export):
        group.add_verbs(verbs)
    add_verb(verbs, "config", _config, "print all that an experiment would run", config=True)
    data.add_verbs(verbs)
    apps = add_verb(verbs, "apps", _apps, "list the experiments, or copy one: apps copy NAME DIR")
    apps.add_argument("words", nargs="*", metavar="copy NAME DIR")
    add_verb(verbs, "doctor", _doctor, "say what is missing and how to install it")
    return parser


def _config(options: argparse.Namespace) -> None:
    from spikevox.tasks.config import to_plain

    print(json.dumps(to_plain(load(options)), indent=2))


def _apps(options: argparse.Namespace) -> None:
    from spikevox.tasks.apps_folder import copy_app, list_apps

    if options.words:
        print(copy_app(options.words))
        return
    for name in list_apps():
        print(name)


def _doctor(options: argparse.Namespace) -> None:
    from spikevox.layers.doctor import diagnose

    for finding in diagnose():
        print(f"{'ok     ' if finding.present else 'missing'}  {finding.name}: {finding.detail}")


if __name__ == "__main__":
    sys.exit(main())
