"""What the verbs do for a Segmenter: score, predict, baseline; see ``session.py`` for classifiers."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.layers.monitor import FiringMonitor
from spikevox.tasks.atomic import write_atomically
from spikevox.tasks.build import build
from spikevox.tasks.checkpoint import versions
from spikevox.tasks.datasets.frame import LidarFrame
from spikevox.tasks.datasets.segmentation import SegmentationDataset
from spikevox.tasks.segmentation.baseline import PointBaseline, point_forest
from spikevox.tasks.segmentation.inference import PointSegmenter, most_likely
from spikevox.tasks.segmentation.memory import copy_nearest
from spikevox.tasks.segmentation.metric import SegmentationResult, count_pairs, segmentation_result
from spikevox.tasks.session import (
    check_samples,
    extra_columns,
    frames_of,
    free_name,
    load_network,
    split_options,
    test_options,
)
from spikevox.tasks.view import Classes, PointLayer, Scene, record_network
from spikevox.tasks.view.scene import Field


class ScoredPoints(NamedTuple):
    """Weights scored on all points of a test split."""

    result: SegmentationResult
    dataset: SegmentationDataset
    facts: dict[str, Any]
    firing_rate: float
    nonzero: float
    votes: int
    split: str

    def figures(self, config: str) -> dict[str, Any]:
        """Figures as JSON types."""
        return {
            **self.result.figures(self.dataset.class_names),
            "count": self.result.count,
            "missed": int(self.result.missed.sum()),
            "clouds": len(self.dataset),
            "firing_rate": self.firing_rate,
            "nonzero": self.nonzero,
            "votes": self.votes,
            "split": self.split,
            "seed": self.facts["seed"],
            "config": config,
            "versions": versions(),
        }

    def table(self) -> str:
        """Figures as text: overall, then IoU by class."""
        result = self.result
        lines = [
            f"{self.split}: mIoU {result.miou:.4f}, accuracy {result.accuracy:.4f}, {result.count} points of "
            f"{len(self.dataset)} clouds ({int(result.missed.sum())} without prediction), votes {self.votes}, firing rate "
            f"{self.firing_rate:.3f}, nonzero {self.nonzero:.3f}"
        ]
        for name, iou, total in zip(self.dataset.class_names, result.iou, result.totals, strict=True):
            value = "absent" if np.isnan(iou) else f"IoU {iou:.4f}"
            lines.append(f"  {name:<20} {value}, {total} points")
        return "\n".join(lines)


def _segmenter(
    config: Mapping[str, Any], weights: str | Path, votes: int = 1
) -> tuple[PointSegmenter, SegmentationDataset, dict[str, Any], str]:
    options = test_options(config)
    dataset: SegmentationDataset = build(options)
    network, facts = load_network(config, weights, dataset)
    fragments = config["test_dataloader"].get("fragments", 1)
    segmenter = PointSegmenter(network, dataset.pipeline.settings(), views=votes, fragments=fragments)
    return segmenter, dataset, facts, f"{dataset.name}, split {options.get('split', 'test')}"


def score(config: Mapping[str, Any], weights: str | Path, *, votes: int = 1) -> ScoredPoints:
    """Scores weights on every labelled point of the test split; more than one vote turns the clouds.

    Raises:
        ConfigError: no test split, one without labels, or more than eight votes.
        CheckpointError: the weights do not fit the config.
    """
    segmenter, dataset, facts, split = _segmenter(config, weights, votes)
    classes = len(dataset.class_names)
    pairs = np.zeros((classes, classes + 1), dtype=np.int64)
    with FiringMonitor(segmenter.network) as monitor:
        for index in range(len(dataset)):
            frame = dataset.read(index)
            predicted = most_likely(segmenter(dataset.points(frame), source=frame.source))
            pairs += count_pairs(predicted, dataset.classes(frame), classes, source=frame.source)
    result = segmentation_result(pairs)
    return ScoredPoints(result, dataset, facts, monitor.firing_rate, monitor.nonzero, votes, split)


def save_figures(scored: ScoredPoints, folder: str | Path) -> None:
    """Writes confusion.png."""
    from spikevox.tasks.view import confusion_figure, save_figure

    save_figure(confusion_figure(scored.result.confusion, scored.dataset.class_names), Path(folder) / "confusion.png")


def predict_into(
    config: Mapping[str, Any], weights: str | Path, paths: Sequence[str], folder: str | Path
) -> Iterator[str]:
    """Writes what the network says of files, of all clouds in folders, or of the test split where no path is given.

    Of each cloud ``NAME.label`` (uint32 a point in the data set's own numbers, 0 for none, SemanticKITTI's format),
    ``NAME.png`` (from above) and ``NAME.ply`` (coloured, with the class of each point).

    Yields:
        A line a cloud, when its files are there.
    """
    segmenter, dataset, _, _ = _segmenter(config, weights)
    # The last one stands for -1.
    raw = np.array([*dataset.raw_labels, 0], dtype="<u4")
    taken: set[str] = set()
    for name, frame in frames_of(dataset, paths):
        classes = most_likely(segmenter(dataset.points(frame), source=frame.source))
        target = Path(folder) / free_name(name.replace("/", "_"), taken)
        write_atomically(target.with_name(target.name + ".label"), raw[classes].tobytes())
        _draw(target, frame, classes, dataset)
        counts = np.bincount(classes[classes >= 0], minlength=len(dataset.class_names))
        most = ", ".join(f"{dataset.class_names[c]} {counts[c]}" for c in np.argsort(-counts)[:3] if counts[c])
        yield f"{target}.label, .png, .ply: {len(classes)} points, most of them {most or 'without prediction'}"


def _draw(target: Path, frame: LidarFrame, classes: NDArray[np.int64], dataset: SegmentationDataset) -> None:
    from spikevox.tasks.view import birdseye_figure, point_colours, save_figure, write_ply

    xyz, names = frame.points[:, :3], dataset.class_names
    truth = dataset.classes(frame)
    panels = [("predicted", classes), *([] if truth is None else [("true", truth)])]
    save_figure(birdseye_figure(xyz, panels, names), target.with_name(target.name + ".png"))
    write_ply(target.with_name(target.name + ".ply"), xyz, point_colours(classes, len(names)), classes)


def scenes(
    config: Mapping[str, Any],
    weights: str | Path,
    *,
    samples: Sequence[int] = (0,),
    split: str = "test",
    paths: Sequence[str] = (),
) -> Iterator[Scene]:
    """Points by predicted and true class, voxels, and the spikes of every layer; see ``session.scenes``."""
    dataset: SegmentationDataset = build(split_options(config, split))
    network, _ = load_network(config, weights, dataset)
    segmenter = PointSegmenter(network, dataset.pipeline.settings())
    check_samples(samples, dataset, paths)
    for name, frame in frames_of(dataset, paths, samples):
        seen = record_network(network, segmenter.pipeline, dataset.points(frame), segmenter, source=frame.source)
        predicted, truth = most_likely(seen.output), dataset.classes(frame)
        fields: dict[str, Field] = {"predicted": Classes(predicted, dataset.class_names)}
        notes = [f"{len(predicted)} points"]
        if truth is not None:
            right = np.where(truth < 0, -1, predicted == truth)
            fields |= {"true": Classes(truth, dataset.class_names), "right": Classes(right, ("wrong", "right"))}
            notes = [
                f"{int((right == 1).sum())} of {int((right >= 0).sum())} labelled points right, {len(truth)} points"
            ]
        fields |= extra_columns(seen.points, segmenter.pipeline.columns)
        voxels = [] if seen.voxels is None else [seen.voxels]
        yield Scene(name, [PointLayer("points", seen.points[:, :3], fields), *voxels, *seen.layers], notes)


def baseline(config: Mapping[str, Any], *, trees: int = 500) -> PointBaseline:
    """A forest and a memory on the splits of an experiment; without a validation split, training clouds take its place.

    Raises:
        ConfigError: the experiment lacks a test split, or a split has no labels.
    """
    test = build(test_options(config))
    train = build(config["train_dataloader"]["dataset"])
    validation = build(config["val_dataloader"]["dataset"]) if "val_dataloader" in config else None
    seen = [train] if validation is None else [train, validation]
    forest = point_forest(train, validation, test, trees=trees)
    return PointBaseline(forest, copy_nearest(seen, test), test.class_names)
