"""What ``spikevox view`` shows: samples as a network sees them, or files without one."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spikevox.tasks.datasets.box_file import read_boxes
from spikevox.tasks.datasets.frame import LidarFrame, check_frame
from spikevox.tasks.datasets.points import PointFile, read_points
from spikevox.tasks.errors import ConfigError, DataFileError
from spikevox.tasks.session import clouds_of, extra_columns, verbs
from spikevox.tasks.view import BoxLayer, Classes, PointLayer, Scene
from spikevox.tasks.view.scene import Field

PREDICTIONS = "predictions.json"


def scenes_to_view(
    source: str | Path,
    config: Mapping[str, Any] | None,
    weights: str | Path | None,
    options: Mapping[str, Any],
    *,
    notes: Sequence[str] = (),
    spikes: bool = False,
) -> Iterator[Scene]:
    """Scenes of an experiment with weights, or else of files.

    Args:
        source: the experiment's file, a cloud, or a folder.
        config: of the experiment; ``None`` where ``source`` is none.
        weights: of the experiment's network.
        options: ``sample`` (numbers in the test split) and ``cloud`` (files or folders), for an experiment only.
        notes: further lines below each title.
        spikes: whether the page opens with spikes.

    Raises:
        ConfigError: an experiment without weights, or weights and options without an experiment.
    """
    if config is not None:
        if weights is None:
            raise ConfigError(f"{source} is an experiment: name its weights too, spikevox view CONFIG WEIGHTS.")
        samples, paths = options.get("sample", [0]), options.get("cloud", ())
        found = verbs(config).scenes(config, weights, samples=samples, paths=paths)
    elif weights or options or spikes:
        given = weights or "--" + next(iter(options), "spikes")
        raise ConfigError(f"{source} is no experiment (.py), so {given} does not go with it.")
    else:
        found = file_scenes(source)
    for scene in found:
        yield replace(scene, notes=[*scene.notes, *notes], spikes_shown=spikes or scene.spikes_shown)


def file_scenes(path: str | Path, *, most: int = 8) -> Iterator[Scene]:
    """A scene of a cloud, or one each of the clouds, labels and boxes in a folder.

    Of a cloud ``NAME.ply``, ``NAME.label`` (uint32 a point) beside it are its labels. ``NAME.json`` are boxes, drawn with
    their cloud where that is still where it was read. ``predictions.json`` are classes of clouds.

    Args:
        path: file or folder.
        most: scenes; further files are left out.

    Raises:
        ConfigError: a folder with nothing to show.
        DataFileError: a file that cannot be read.
    """
    path = Path(path)
    if (path / PREDICTIONS).is_file():
        yield from _classified(path / PREDICTIONS, most)
    elif path.is_dir() and any(path.glob("*.json")):
        for file in sorted(path.glob("*.json"))[:most]:
            yield _boxed(file)
    elif path.suffix == ".json":
        yield _boxed(path)
    else:
        for file in clouds_of(path)[:most]:
            yield _cloud(file)


def _layer(cloud: PointFile, fields: dict[str, Field] | None = None) -> PointLayer:
    check_frame(LidarFrame(cloud.points, cloud.columns, cloud.source))
    return PointLayer("points", cloud.points[:, :3], (fields or {}) | extra_columns(cloud.points, cloud.columns))


def _cloud(file: Path) -> Scene:
    cloud, labels = read_points(file), file.with_suffix(".label")
    fields: dict[str, Field] = {}
    if labels.is_file():
        # The upper half tells objects apart, in SemanticKITTI's format.
        numbers = np.fromfile(labels, dtype="<u4") & 0xFFFF
        if len(numbers) != len(cloud.points):
            raise DataFileError(f"{labels} has {len(numbers)} labels for {len(cloud.points)} points of {file}.", labels)
        known, inverse = np.unique(numbers, return_inverse=True)
        fields["label"] = Classes(inverse, [f"label {number}" for number in known])
    return Scene(file.name, [_layer(cloud, fields)], [f"{len(cloud.points)} points"])


def _boxed(file: Path) -> Scene:
    boxes = read_boxes(file)
    scores = [""] * len(boxes) if boxes.scores is None else [f" {score:.2f}" for score in boxes.scores]
    texts = [name + score for name, score in zip(boxes.names, scores, strict=True)]
    source = Path(str(_json(file).get("source", "")))
    cloud = [_layer(read_points(source))] if source.suffix and source.is_file() else []
    notes = [f"{len(boxes)} boxes", *([] if cloud else [f"the cloud {source} is not there: boxes alone"])]
    return Scene(file.stem, [BoxLayer("boxes", boxes.array(), texts), *cloud], notes)


def _classified(file: Path, most: int) -> Iterator[Scene]:
    rows = [row for row in _json(file) if Path(str(row.get("source", ""))).is_file()]
    if not rows:
        raise ConfigError(
            f"{file}: none of the clouds that it names is a file here. Name the experiment and weights to see its samples."
        )
    for row in rows[:most]:
        cloud = read_points(row["source"])
        yield Scene(str(row["source"]), [_layer(cloud)], [f"taken for {row.get('label')} ({row.get('score')})"])


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataFileError(f"{file}: expected json ({error}).", file) from error
