"""Verbs of ``data``: check, prepare, objects, make."""

import argparse
from typing import Any

from spikevox.encoding.errors import SpikevoxError
from spikevox.tasks.commands.command import add_verb, load


def add_verbs(verbs: Any) -> None:
    """Adds data with its actions."""
    data = verbs.add_parser("data", help="look after data", description="look after data")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = add_verb(actions, "check", _check_data, "read every file of a folder once and list what is wrong")
    check.add_argument("folder")
    prepare = add_verb(actions, "prepare", _prepare_data, "turn a published archive into files that training reads")
    prepare.add_argument("kind", choices=["modelnet"], help="modelnet: ModelNet10.zip or ModelNet40.zip")
    prepare.add_argument("archive")
    prepare.add_argument("out", help="folder for train.npz and test.npz")
    prepare.add_argument("--points", type=int, default=1024, help="points a shape, 1024 by default")
    prepare.add_argument("--seed", type=int, default=0, help="of the points drawn from the meshes, 0 by default")
    text = "cut the objects out of a detector's training frames: a file to paste from"
    objects = add_verb(actions, "objects", _save_objects, text, config=True)
    objects.add_argument("out", help=".npz, for paste=dict(bank=...)")
    make = add_verb(actions, "make", _make_data, "make a folder of generated scenes in the layout of a data set")
    make.add_argument("kind", choices=["street"], help="street: streets with traffic, seen by a spinning LiDAR")
    make.add_argument("out", help="folder that is not there yet, or empty")
    make.add_argument("--format", required=True, choices=["kitti", "semantickitti", "nuscenes", "pandaset"])
    make.add_argument("--streets", type=int, default=4, help="number of streets, 4 by default")
    make.add_argument(
        "--sweeps", type=int, default=10, help="sweeps a street, a tenth of a second apart, 10 by default"
    )
    make.add_argument("--seed", type=int, default=0, help="of the first street, 0 by default; the others follow")
    make.add_argument("--sensor", help="pandar64, hdl64 or hdl32; that of the data set by default")


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

    for name, count in save_objects(load(options), options.out).items():
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
