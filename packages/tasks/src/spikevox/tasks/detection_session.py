"""What the verbs do for a detector: score, predict, baseline; see ``session.py`` for classifiers."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spikevox.layers.monitor import FiringMonitor
from spikevox.tasks.build import build
from spikevox.tasks.checkpoint import versions
from spikevox.tasks.datasets.box_file import write_boxes
from spikevox.tasks.datasets.detection import DetectionDataset
from spikevox.tasks.datasets.frame import Boxes, LidarFrame
from spikevox.tasks.datasets.kitti import KittiObjects
from spikevox.tasks.datasets.kitti_label import write_labels
from spikevox.tasks.datasets.nuscenes import NuScenes
from spikevox.tasks.datasets.nuscenes_results import write_nuscenes_results
from spikevox.tasks.detection.baseline import BoxBaseline, box_baseline
from spikevox.tasks.detection.inference import BoxPredictor
from spikevox.tasks.detection.kitti_ap import KittiResult
from spikevox.tasks.detection.nuscenes_nds import NuScenesResult
from spikevox.tasks.detection.scoring import DetectionScorer, check_votes, kitti_rows, result_figures
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.session import (
    check_samples,
    extra_columns,
    frames_of,
    free_name,
    load_network,
    split_options,
    test_options,
)
from spikevox.tasks.view import BoxLayer, PointLayer, Scene, record_network

RESULTS = "results.json"
# Frames of a test split that are drawn.
_DRAWN = 4
# Boxes of a lower score are hidden when a page opens.
_SURE = 0.5


class ScoredBoxes(NamedTuple):
    """Weights scored on the boxes of a test split."""

    result: KittiResult | NuScenesResult
    found: tuple[Boxes, ...]
    dataset: DetectionDataset
    facts: dict[str, Any]
    firing_rate: float
    nonzero: float
    split: str

    def figures(self, config: str) -> dict[str, Any]:
        """Figures as JSON types; those of a class without objects are ``None``."""
        return {
            **result_figures(self.result),
            "min_overlap": self.dataset.min_overlap,
            "detections": sum(len(boxes) for boxes in self.found),
            "firing_rate": self.firing_rate,
            "nonzero": self.nonzero,
            "split": self.split,
            "seed": self.facts["seed"],
            "config": config,
            "versions": versions(),
        }

    def table(self) -> str:
        """Figures as text: what was scored, then the data set's own table."""
        head = (
            f"{self.split}: {sum(len(boxes) for boxes in self.found)} detections in {len(self.found)} frames, firing rate "
            f"{self.firing_rate:.3f}, nonzero {self.nonzero:.3f}"
        )
        return f"{head}\n{self.result.table()}"


def _detector(
    config: Mapping[str, Any], weights: str | Path
) -> tuple[BoxPredictor, DetectionDataset, dict[str, Any], str]:
    options = test_options(config)
    dataset: DetectionDataset = build(options)
    network, facts = load_network(config, weights, dataset)
    split = f"{dataset.name}, split {dataset.split}"
    return BoxPredictor(network, dataset.pipeline.settings()), dataset, facts, split


def score(config: Mapping[str, Any], weights: str | Path, *, votes: int = 1) -> ScoredBoxes:
    """Scores weights on every frame of the test split, by the rules of its data set.

    Raises:
        ConfigError: no test split, one without boxes, or more than one vote.
        CheckpointError: the weights do not fit the config.
    """
    check_votes(votes)
    detector, dataset, facts, split = _detector(config, weights)
    scorer = DetectionScorer(dataset)
    with FiringMonitor(detector.network) as monitor:
        for index in range(len(dataset)):
            frame = dataset.read(index)
            scorer.add(index, frame, detector(frame.table(dataset.pipeline.columns), source=frame.source))
    found = tuple(scorer.found)
    return ScoredBoxes(scorer.result(), found, dataset, facts, monitor.firing_rate, monitor.nonzero, split)


def save_figures(scored: ScoredBoxes, folder: str | Path) -> None:
    """Writes pictures of the first frames from above, with detections and objects."""
    for index, found in enumerate(scored.found[:_DRAWN]):
        frame = scored.dataset.read(index)
        name = scored.dataset.frame_name(index, frame).replace("/", "_")
        _draw(Path(folder) / f"{name}.png", frame, found, scored.dataset)


def predict_into(
    config: Mapping[str, Any], weights: str | Path, paths: Sequence[str], folder: str | Path
) -> Iterator[str]:
    """Writes what the network finds in files, in all clouds in folders, or in the test split where no path is given.

    Of each cloud ``NAME.png`` (from above) and ``NAME.json`` (see :func:`~spikevox.tasks.datasets.write_boxes`). Frames of a
    test split of KITTI have ``NAME.txt`` in place of the json, as its server takes it, and those of nuScenes one
    ``results.json`` together.

    Yields:
        A line a cloud, when its files are there.
    """
    detector, dataset, _, _ = _detector(config, weights)
    reader, columns = dataset.frames, dataset.pipeline.columns
    gathered: dict[str, Boxes] = {}
    poses: dict[str, Any] = {}
    taken: set[str] = set()
    for index, (name, frame) in enumerate(frames_of(dataset, paths)):
        found = detector(frame.table(columns), source=frame.source)
        target = Path(folder) / free_name(name.replace("/", "_"), taken)
        _draw(target.with_name(target.name + ".png"), frame, found, dataset)
        written = ".json"
        if not paths and isinstance(reader, KittiObjects):
            written = ".txt"
            write_labels(target.with_name(target.name + written), kitti_rows(reader, dataset.indices[index], found))
        elif not paths and isinstance(reader, NuScenes):
            written = RESULTS
            gathered[name], poses[name] = found, frame.pose
        else:
            write_boxes(target.with_name(target.name + written), found, source=frame.source)
        best = "" if not len(found) else f", best {found.names[0]} {found.scores[0]:.2f}"  # type: ignore[index]
        yield f"{target}.png, {written}: {len(found)} boxes{best}"
    if gathered:
        write_nuscenes_results(Path(folder) / RESULTS, gathered, poses)
        yield f"{len(gathered)} frames: {Path(folder) / RESULTS}"


def _draw(path: Path, frame: LidarFrame, found: Boxes, dataset: DetectionDataset) -> None:
    from spikevox.tasks.view import boxes_figure, save_figure

    grid = dataset.pipeline.grid
    xyz = frame.points[:, :3]
    scores = [] if found.scores is None else found.scores.tolist()
    groups = [("found", found.array(), [f"{n} {s:.2f}" for n, s in zip(found.names, scores, strict=True)])]
    truth = dataset.boxes(frame)
    if truth is not None:
        groups.append(("true", dataset.visible(truth, frame.points).array(), []))
    save_figure(boxes_figure(xyz[grid.inside(xyz)], groups), path)


def scenes(
    config: Mapping[str, Any],
    weights: str | Path,
    *,
    samples: Sequence[int] = (0,),
    split: str = "test",
    paths: Sequence[str] = (),
) -> Iterator[Scene]:
    """Points, boxes that are found and true, voxels, and the spikes of every layer; see ``session.scenes``."""
    dataset: DetectionDataset = build(split_options(config, split))
    network, _ = load_network(config, weights, dataset)
    detector = BoxPredictor(network, dataset.pipeline.settings())
    check_samples(samples, dataset, paths)
    for name, frame in frames_of(dataset, paths, samples):
        columns = detector.pipeline.columns
        seen = record_network(network, detector.pipeline, frame.table(columns), detector, source=frame.source)
        inside = dataset.pipeline.grid.inside(seen.points[:, :3])
        points = seen.points[inside]
        cloud = [PointLayer("points", points[:, :3], extra_columns(points, columns))] if len(points) else []
        voxels = [] if seen.voxels is None else [seen.voxels]
        yield Scene(name, [*_box_layers(seen.output, frame, dataset), *cloud, *voxels, *seen.layers])


def _box_layers(found: Boxes, frame: LidarFrame, dataset: DetectionDataset) -> list[BoxLayer]:
    """The sure, the less sure, which are hidden at first, and the true ones where they are known."""
    scores = np.ones(len(found)) if found.scores is None else found.scores
    layers = []
    for name, rows in ((f"found, score from {_SURE} on", scores >= _SURE), ("found, lower score", scores < _SURE)):
        boxes = found.take(rows)
        texts = [f"{n} {score:.2f}" for n, score in zip(boxes.names, scores[rows], strict=True)]
        layers.append(BoxLayer(name, boxes.array(), texts, shown=bool((scores[rows] >= _SURE).all())))
    truth = dataset.boxes(frame)
    if truth is not None:
        truth = dataset.visible(truth, frame.points)
        layers.append(BoxLayer("true", truth.array(), truth.names))
    return layers


def baseline(config: Mapping[str, Any], *, trees: int = 500) -> BoxBaseline:
    """Boxes around groups of points, their settings tried on training frames.

    Args:
        config: experiment.
        trees: of no use here: a forest gives no boxes.

    Raises:
        ConfigError: the experiment lacks a test split, or a split has no boxes.
    """
    test = build(test_options(config))
    return box_baseline(build(config["train_dataloader"]["dataset"]), test)


def save_objects(config: Mapping[str, Any], out: str | Path) -> dict[str, int]:
    """Writes the objects of an experiment's training frames as :class:`~spikevox.tasks.datasets.ObjectBank` keeps them.

    Args:
        config: experiment; where it pastes objects, those are of no matter here.
        out: file to write, ``.npz``.

    Returns:
        Number of objects of each class.

    Raises:
        ConfigError: an experiment that learns no boxes, or a file of another ending.
    """
    options = {key: value for key, value in config["train_dataloader"]["dataset"].items() if key != "paste"}
    if Path(out).suffix != ".npz":
        raise ConfigError(f"{out}: objects are written as .npz.")
    dataset = build(options)
    if not isinstance(dataset, DetectionDataset):
        raise ConfigError("this experiment learns no boxes: there are no objects to cut out.")
    bank = dataset.cut_objects()
    bank.save(out)
    return {name: len(bank.of_class(name)) for name in dataset.class_names}
