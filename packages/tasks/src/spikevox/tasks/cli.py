"""The ``spikevox`` command: each verb parses, calls one public function, and shows the result.

Exit codes: 0 done; 1 an error that was told on standard error; 2 wrong usage; 3 an error that nobody foresaw;
130 interrupted; 141 the reader of the output has gone.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spikevox.encoding.errors import SpikevoxError

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
    train = _verb(verbs, "train", _train, "train a network", config=True)
    resume = _verb(verbs, "resume", _resume, "go on with a training that was stopped", config=True)
    for verb in (train, resume):
        verb.add_argument("--work-dir", help="folder for checkpoints and logs, by default work_dirs/NAME")
    train.add_argument("--weights", help="start from these, .safetensors or checkpoint, in place of random ones")
    train.add_argument("--overwrite", action="store_true", help="start anew in a folder that holds a training")
    test = _verb(verbs, "test", _test, "score weights on the test split", config=True)
    test.add_argument("weights", help=".safetensors or checkpoint")
    test.add_argument("--votes", type=int, default=1, help="views of each sample whose scores are averaged")
    test.add_argument(
        "--figures", help="folder for pictures: confusion.png, of classifiers spikes.png, of detectors frames"
    )
    test.add_argument("--json", help="file for the figures")
    predict = _verb(
        verbs,
        "predict",
        _predict,
        "say what files hold, or the test split: classes, labels of points, boxes",
        config=True,
    )
    predict.add_argument("weights")
    predict.add_argument("paths", nargs="*", help="cloud files or folders; the test split by default")
    predict.add_argument("--out", required=True, help="folder for predictions.json; for labels or boxes and pictures")
    baseline = _verb(verbs, "baseline", _baseline, "score of what needs no network on the same data", config=True)
    baseline.add_argument("--trees", type=_count, default=500, help="trees of the forest, 500 by default")
    baseline.add_argument("--json", help="file for the figures")
    _add_convert_verb(verbs)
    _verb(verbs, "config", _config, "print all that an experiment would run", config=True)
    data = verbs.add_parser("data", help="look after data", description="look after data")
    _add_data_verbs(data.add_subparsers(dest="action", required=True, metavar="ACTION"))
    apps = _verb(verbs, "apps", _apps, "list the experiments, or copy one: apps copy NAME DIR")
    apps.add_argument("words", nargs="*", metavar="copy NAME DIR")
    _verb(verbs, "doctor", _doctor, "say what is missing and how to install it")
    return parser


def _add_convert_verb(verbs: Any) -> None:
    convert = _verb(verbs, "convert", _convert, "weights of published networks of spconv into ours, or back")
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


def _add_data_verbs(verbs: Any) -> None:
    check = _verb(verbs, "check", _check_data, "read every file of a folder once and list what is wrong")
    check.add_argument("folder")
    prepare = _verb(verbs, "prepare", _prepare_data, "turn a published archive into files that training reads")
    prepare.add_argument("kind", choices=["modelnet"], help="modelnet: ModelNet10.zip or ModelNet40.zip")
    prepare.add_argument("archive")
    prepare.add_argument("out", help="folder for train.npz and test.npz")
    prepare.add_argument("--points", type=int, default=1024, help="points a shape, 1024 by default")
    prepare.add_argument("--seed", type=int, default=0, help="of the points drawn from the meshes, 0 by default")
    text = "cut the objects out of a detector's training frames: a file to paste from"
    objects = _verb(verbs, "objects", _save_objects, text, config=True)
    objects.add_argument("out", help=".npz, for paste=dict(bank=...)")
    make = _verb(verbs, "make", _make_data, "make a folder of generated scenes in the layout of a data set")
    make.add_argument("kind", choices=["street"], help="street: streets with traffic, seen by a spinning LiDAR")
    make.add_argument("out", help="folder that is not there yet, or empty")
    make.add_argument("--format", required=True, choices=["kitti", "semantickitti", "nuscenes", "pandaset"])
    make.add_argument("--streets", type=int, default=4, help="number of streets, 4 by default")
    make.add_argument(
        "--sweeps", type=int, default=10, help="sweeps a street, a tenth of a second apart, 10 by default"
    )
    make.add_argument("--seed", type=int, default=0, help="of the first street, 0 by default; the others follow")
    make.add_argument("--sensor", help="pandar64, hdl64 or hdl32; that of the data set by default")


def _verb(
    verbs: Any, name: str, run: Callable[[argparse.Namespace], None], text: str, *, config: bool = False
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")
    if config:
        parser.add_argument("config", help="experiment file")
        parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a value")
        parser.add_argument("--data", metavar="DIR", help="data folder, by default $SPIKEVOX_DATA or ./data")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _load(options: argparse.Namespace) -> dict[str, Any]:
    from spikevox.tasks.config import load_config

    return load_config(options.config, options.set)


def _train(options: argparse.Namespace, *, resume: bool = False) -> None:
    from spikevox.tasks.runner import build_runner
    from spikevox.tasks.session import train
    from spikevox.tasks.training import WEIGHTS

    work_dir = Path(options.work_dir or Path("work_dirs") / Path(options.config).stem)
    start = {} if resume else {"overwrite": options.overwrite, "weights": options.weights}
    train(build_runner(_load(options), work_dir, resume=resume, **start))
    if os.environ.get("RANK", "0") == "0":
        print(f"weights: {work_dir / WEIGHTS}")


def _resume(options: argparse.Namespace) -> None:
    _train(options, resume=True)


def _test(options: argparse.Namespace) -> None:
    from spikevox.tasks.session import verbs

    config = _load(options)
    task = verbs(config)
    scored = task.score(config, options.weights, votes=options.votes)
    print(scored.table())
    if options.json:
        _write_json(options.json, scored.figures(options.config))
    if options.figures:
        task.save_figures(scored, options.figures)
        print(f"figures: {options.figures}")


def _predict(options: argparse.Namespace) -> None:
    from spikevox.tasks.session import verbs

    config = _load(options)
    for line in verbs(config).predict_into(config, options.weights, options.paths, options.out):
        print(line)


def _baseline(options: argparse.Namespace) -> None:
    from spikevox.tasks.session import verbs

    config = _load(options)
    result = verbs(config).baseline(config, trees=options.trees)
    print(result.table())
    if options.json:
        _write_json(options.json, result.figures())


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


def _config(options: argparse.Namespace) -> None:
    from spikevox.tasks.config import to_plain

    print(json.dumps(to_plain(_load(options)), indent=2))


def _check_data(options: argparse.Namespace) -> None:
    from spikevox.tasks.datasets.check import check_folder

    findings, count, lines = check_folder(options.folder)
    for line in [*lines, *findings]:
        print(line)
    print(f"{count} files read, {len(findings)} with problems")
    if findings:
        raise SpikevoxError(f"{options.folder}: {len(findings)} problems in {count} files.")


def _prepare_data(options: argparse.Namespace) -> None:
    from rich.progress import Progress

    from spikevox.tasks.datasets.prepare import prepare_modelnet

    with Progress(transient=True) as bar:
        task = bar.add_task("shapes")
        done = prepare_modelnet(
            options.archive,
            options.out,
            points=options.points,
            seed=options.seed,
            progress=lambda count, total: bar.update(task, completed=count, total=total),
        )
    print(
        f"{done.folder}: {done.counts['train']} training and {done.counts['test']} test shapes of {len(done.classes)} classes"
    )


def _save_objects(options: argparse.Namespace) -> None:
    from spikevox.tasks.detection_session import save_objects

    for name, count in save_objects(_load(options), options.out).items():
        print(f"{name}: {count} objects")
    print(f"written: {options.out}")


def _make_data(options: argparse.Namespace) -> None:
    from rich.progress import Progress

    from spikevox.tasks.datasets.street.folder import make_streets

    with Progress(transient=True) as bar:
        task = bar.add_task("sweeps")
        made = make_streets(
            options.out,
            options.format,
            streets=options.streets,
            sweeps=options.sweeps,
            seed=options.seed,
            sensor=options.sensor,
            progress=lambda count, total: bar.update(task, completed=count, total=total),
        )
    print(f"{made.folder}: {made.sweeps} sweeps of {options.streets} streets, {made.points} points")


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


def _write_json(path: str | Path, content: Any) -> None:
    from spikevox.tasks.atomic import write_atomically

    write_atomically(Path(path), (json.dumps(content, indent=2) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
