"""Verbs of networks: train, resume, test, predict, baseline."""

import argparse
import os
from pathlib import Path
from typing import Any

from spikevox.tasks.commands.command import add_verb, load, positive, show_page, write_json


def add_verbs(verbs: Any) -> None:
    """Adds train, resume, test, predict and baseline."""
    train = add_verb(verbs, "train", _train, "train a network", config=True)
    resume = add_verb(verbs, "resume", _resume, "go on with a training that was stopped", config=True)
    for verb in (train, resume):
        verb.add_argument("--work-dir", help="folder for checkpoints and logs, by default work_dirs/NAME")
        verb.add_argument("--html", metavar="FILE", help="a page to look at the first samples of the validation in 3D")
    train.add_argument("--weights", help="start from these, .safetensors or checkpoint, in place of random ones")
    train.add_argument("--overwrite", action="store_true", help="start anew in a folder that holds a training")
    test = add_verb(verbs, "test", _test, "score weights on the test split", config=True)
    test.add_argument("weights", help=".safetensors or checkpoint")
    test.add_argument("--votes", type=int, default=1, help="views of each sample whose scores are averaged")
    test.add_argument(
        "--figures", help="folder for pictures: confusion.png, of classifiers spikes.png, of detectors frames"
    )
    test.add_argument("--json", help="file for the figures")
    test.add_argument("--html", metavar="FILE", help="a page to look at the first samples in 3D")
    predict = add_verb(
        verbs,
        "predict",
        _predict,
        "say what files hold, or the test split: classes, labels of points, boxes",
        config=True,
    )
    predict.add_argument("weights")
    predict.add_argument("paths", nargs="*", help="cloud files or folders; the test split by default")
    predict.add_argument("--out", required=True, help="folder for predictions.json; for labels or boxes and pictures")
    predict.add_argument("--html", metavar="FILE", help="a page to look at the first clouds in 3D")
    baseline = add_verb(verbs, "baseline", _baseline, "score of what needs no network on the same data", config=True)
    baseline.add_argument("--trees", type=positive, default=500, help="trees of the forest, 500 by default")
    baseline.add_argument("--json", help="file for the figures")


def _train(options: argparse.Namespace, *, resume: bool = False) -> None:
    from spikevox.tasks.runner import build_runner
    from spikevox.tasks.session import first_scenes, train
    from spikevox.tasks.training import WEIGHTS

    work_dir = Path(options.work_dir or Path("work_dirs") / Path(options.config).stem)
    start = {} if resume else {"overwrite": options.overwrite, "weights": options.weights}
    config = load(options)
    train(build_runner(config, work_dir, resume=resume, **start))
    if os.environ.get("RANK", "0") == "0":
        print(f"weights: {work_dir / WEIGHTS}")
        if options.html:
            show_page(options.html, first_scenes(config, work_dir / WEIGHTS))


def _resume(options: argparse.Namespace) -> None:
    _train(options, resume=True)


def _test(options: argparse.Namespace) -> None:
    from spikevox.tasks.session import first_scenes, verbs

    config = load(options)
    task = verbs(config)
    scored = task.score(config, options.weights, votes=options.votes)
    print(scored.table())
    if options.json:
        write_json(options.json, scored.figures(options.config))
    if options.figures:
        task.save_figures(scored, options.figures)
        print(f"figures: {options.figures}")
    if options.html:
        show_page(options.html, first_scenes(config, options.weights, split="test"))


def _predict(options: argparse.Namespace) -> None:
    from spikevox.tasks.session import first_scenes, verbs

    config = load(options)
    for line in verbs(config).predict_into(config, options.weights, options.paths, options.out):
        print(line)
    if options.html:
        show_page(options.html, first_scenes(config, options.weights, split="test", paths=options.paths))


def _baseline(options: argparse.Namespace) -> None:
    from spikevox.tasks.session import verbs

    config = load(options)
    result = verbs(config).baseline(config, trees=options.trees)
    print(result.table())
    if options.json:
        write_json(options.json, result.figures())
