"""What the verbs do: train for all networks; score, predict, baseline for classifiers."""

import functools
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spikevox.encoding import collate
from spikevox.tasks.atomic import write_atomically
from spikevox.tasks.build import build
from spikevox.tasks.checkpoint import load_weights, versions
from spikevox.tasks.classification.baseline import Baseline, forest_baseline
from spikevox.tasks.classification.scoring import Evaluation, evaluate
from spikevox.tasks.datasets.base import PointDataset, VoxelDataset
from spikevox.tasks.datasets.frame import LidarFrame
from spikevox.tasks.datasets.points import read_points
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.predictor import Predictor
from spikevox.tasks.runner import describe
from spikevox.tasks.training import Runner
from spikevox.tasks.view import PointLayer, Scene, Values, record_network
from spikevox.tasks.view.scene import Field

_CLOUDS = (".npy", ".npz", ".txt", ".xyz", ".csv", ".bin", ".ply", ".off")


class Scored(NamedTuple):
    """Weights scored on a test split."""

    evaluation: Evaluation
    dataset: PointDataset
    network: nn.Module
    facts: dict[str, Any]
    votes: int
    split: str

    def figures(self, config: str) -> dict[str, Any]:
        """Figures as JSON types."""
        result = self.evaluation.result
        return {
            "accuracy": result.accuracy,
            "mean_class_accuracy": result.mean_class_accuracy,
            "count": result.count,
            "empty": result.empty,
            "firing_rate": self.evaluation.firing_rate,
            "nonzero": self.evaluation.nonzero,
            "votes": self.votes,
            "split": self.split,
            "seed": self.facts["seed"],
            "config": config,
            "versions": versions(),
        }

    def table(self) -> str:
        """Figures as text: overall, then by class, then the neurons."""
        result, names = self.evaluation.result, self.dataset.class_names
        totals = np.bincount(self.evaluation.labels, minlength=len(names))
        lines = [
            f"{self.split}: accuracy {result.accuracy:.4f}, mean class accuracy {result.mean_class_accuracy:.4f}, "
            f"{result.count} samples ({result.empty} empty), votes {self.votes}, firing rate {self.evaluation.firing_rate:.3f}, "
            f"nonzero {self.evaluation.nonzero:.3f}"
        ]
        shares = result.class_accuracy(totals)
        lines += [f"  {name:<16} {share:.4f} of {n}" for name, share, n in zip(names, shares, totals, strict=True)]
        lines += [
            f"  {name:<28} rate {f.firing_rate:.3f}, nonzero {f.nonzero:.3f}, dead {f.dead:.3f}, saturated {f.saturated:.3f}"
            for name, f in self.evaluation.firing.items()
        ]
        return "\n".join(lines)


def verbs(config: Mapping[str, Any]) -> Any:
    """The module that scores and predicts for the network of a config; its class names it.

    Such a module has ``score(config, weights, votes=)``, ``save_figures(scored, folder)``, ``baseline(config, trees=)``,
    ``predict_into(config, weights, paths, folder)`` and ``scenes(config, weights, samples=, split=, paths=)``, as this one does.
    """
    return import_module(config["model"]["type"].session)


def train(runner: Runner) -> None:
    """Trains, and leaves ``weights.safetensors``, ``best.safetensors`` and ``training.json`` in the work folder."""
    runner.train()


def load_network(
    config: Mapping[str, Any], weights: str | Path, dataset: VoxelDataset
) -> tuple[nn.Module, dict[str, Any]]:
    """The config's network with weights whose description fits it, and that description.

    Raises:
        CheckpointError: the weights do not fit, or were made for another network, voxels, features or classes.
    """
    network = build(config["model"])
    return network, load_weights(network, weights, describe(config, dataset))


def score(config: Mapping[str, Any], weights: str | Path, *, votes: int = 1) -> Scored:
    """Scores weights on the test split; more than one vote needs ``vote_transforms`` in the config.

    Raises:
        ConfigError: no test split, or votes without ``vote_transforms``.
        CheckpointError: the weights do not fit the config.
    """
    options = test_options(config)
    if votes > 1:
        if "vote_transforms" not in config:
            raise ConfigError("votes need vote_transforms in the config: the random views whose scores are averaged.")
        options["transforms"] = config["vote_transforms"]
        # Where training draws the grid's corner, so do the views.
        options["random_margin"] = config["train_dataloader"]["dataset"].get("random_margin", 0.0)
    dataset = build(options)
    network, facts = load_network(config, weights, dataset)
    evaluation = evaluate(network, dataset, batch_size=config["test_dataloader"].get("batch_size", 32), votes=votes)
    split = f"{dataset.name}, split {options.get('split', 'test')}"
    return Scored(evaluation, dataset, network, facts, votes, split)


def test_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The test split's data set as it stands in a config.

    Raises:
        ConfigError: there is none.
    """
    return split_options(config, "test")


def split_options(config: Mapping[str, Any], split: str) -> dict[str, Any]:
    """The data set of ``"val"`` or ``"test"`` as it stands in a config.

    Raises:
        ConfigError: there is none.
    """
    if f"{split}_dataloader" not in config:
        raise ConfigError(f"the config has no {split}_dataloader: there is no split to score.")
    return dict(config[f"{split}_dataloader"]["dataset"])


def save_figures(scored: Scored, folder: str | Path) -> None:
    """Writes confusion.png and spikes.png: the first test sample of each class with its stem's spikes."""
    from spikevox.tasks.view import confusion_figure, save_figure, spikes_figure

    names = scored.dataset.class_names
    save_figure(confusion_figure(scored.evaluation.result.confusion, names), Path(folder) / "confusion.png")
    labels = scored.dataset.labels()
    rows = [int(np.flatnonzero(labels == c)[0]) for c in range(len(names)) if (labels == c).any()]
    save_figure(spikes_figure([_spikes(scored, row) for row in rows[:10]]), Path(folder) / "spikes.png")


@torch.no_grad()
def _spikes(scored: Scored, row: int) -> dict[str, Any]:
    """Voxels of a sample with the mean spikes that the first stage's neuron emits there."""
    voxels = scored.dataset[row]
    emitted: list[torch.Tensor] = []
    network: Any = scored.network.eval()
    handle = network.encoder.stages[0][0].neuron.register_forward_hook(lambda _m, _i, out: emitted.append(out.features))
    try:
        scores = network(*collate([voxels]), mode="predict")[0]["scores"]
    finally:
        handle.remove()
    spikes = emitted[0].mean(dim=0) if emitted[0].ndim == 3 else emitted[0]
    names = scored.dataset.class_names
    title = f"{names[int(scored.dataset.labels()[row])]}: {names[int(scores.argmax())]} ({float(scores.max()):.2f})"
    return {"coordinates": voxels.coordinates, "spikes": spikes.mean(dim=1).numpy(), "title": title}


def predict(config: Mapping[str, Any], weights: str | Path, paths: Sequence[str]) -> list[dict[str, Any]]:
    """Class and scores of files, of all clouds in folders, or of the test split where no path is given."""
    dataset = build(test_options(config))
    network, facts = load_network(config, weights, dataset)
    predictor = Predictor(network, {**describe(config, dataset), **facts})
    if paths:
        files = [file for path in paths for file in clouds_of(Path(path))]
        clouds = ((read_points(file).points, str(file)) for file in files)
    else:
        clouds = ((np.asarray(points), name) for points, _, name in (dataset.read(i) for i in range(len(dataset))))
    rows = []
    for points, source in clouds:
        prediction = predictor(points, source=source)
        rows.append(
            {
                "source": source,
                "label": prediction.label,
                "score": float(prediction.scores.max()),
                "scores": dict(zip(predictor.class_names, map(float, prediction.scores), strict=True)),
                "firing_rate": prediction.firing_rate,
            }
        )
    return rows


def predict_into(
    config: Mapping[str, Any], weights: str | Path, paths: Sequence[str], folder: str | Path
) -> Iterator[str]:
    """Writes what :func:`predict` returns to ``predictions.json``.

    Yields:
        Lines about the first predictions, and one about the file.
    """
    rows = predict(config, weights, paths)
    target = Path(folder) / "predictions.json"
    write_atomically(target, (json.dumps(rows, indent=2) + "\n").encode())
    yield from (f"{row['source']}: {row['label']} ({row['score']:.2f})" for row in rows[:20])
    yield f"{len(rows)} predictions: {target}"


def scenes(
    config: Mapping[str, Any],
    weights: str | Path,
    *,
    samples: Sequence[int] = (0,),
    split: str = "test",
    paths: Sequence[str] = (),
) -> Iterator[Scene]:
    """What the network makes of samples, or of files: points, voxels and the spikes of every layer, for a page to look at.

    Args:
        config: experiment.
        weights: of its network.
        samples: of the split; of no use where paths are given.
        split: ``"val"`` or ``"test"``.
        paths: cloud files or folders.

    Raises:
        ConfigError: no such split or sample.
        CheckpointError: the weights do not fit the config.
    """
    dataset = build(split_options(config, split))
    network, facts = load_network(config, weights, dataset)
    predictor = Predictor(network, {**describe(config, dataset), **facts})
    check_samples(samples, dataset, paths)
    clouds: Iterator[tuple[Any, int | None, str]] = (
        (read_points(file).points, None, str(file)) for path in paths for file in clouds_of(Path(path))
    )
    for points, label, source in clouds if paths else (dataset.read(index) for index in samples):
        table = np.asarray(points)[:, : len(predictor.pipeline.columns)]
        said = functools.partial(predictor, source=source)
        seen = record_network(network, predictor.pipeline, table, said, source=source)
        prediction = seen.output
        best = [predictor.class_names[place] for place in np.argsort(-prediction.scores)[:3]]
        scores = ", ".join(
            f"{name} {score:.3f}" for name, score in zip(best, -np.sort(-prediction.scores), strict=False)
        )
        truth = "" if label is None else f"; it is {predictor.class_names[label]}"
        notes = (f"taken for {scores}{truth}", f"firing rate {prediction.firing_rate:.3f}")
        voxels = [] if seen.voxels is None else [seen.voxels]
        cloud = PointLayer("points", seen.points[:, :3], extra_columns(seen.points, predictor.pipeline.columns))
        yield Scene(source, [cloud, *voxels, *seen.layers], notes)


def first_scenes(
    config: Mapping[str, Any], weights: str | Path, *, split: str = "", paths: Sequence[str] = (), most: int = 4
) -> Iterator[Scene]:
    """Scenes of the first samples of a split, by default of the validation or, without one, of the test; or of files."""
    chosen = split or ("val" if "val_dataloader" in config else "test")
    count = len(build(split_options(config, chosen)))
    scenes = verbs(config).scenes(config, weights, samples=range(min(most, count)), split=chosen, paths=paths)
    yield from itertools.islice(scenes, most)


def check_samples(samples: Sequence[int], dataset: Any, paths: Sequence[str] = ()) -> None:
    """Raises ConfigError for a sample that a data set does not have, unless paths take the samples' place."""
    wrong = [] if paths else [sample for sample in samples if not 0 <= sample < len(dataset)]
    if wrong:
        raise ConfigError(f"there is no sample {wrong[0]}; {dataset.name} has {len(dataset)}, from 0 on.")


def extra_columns(points: NDArray[np.floating], columns: Sequence[str]) -> dict[str, Field]:
    """Columns of points (P, C) other than their coordinates, and the height, to colour them by."""
    fields: dict[str, Field] = {"height": Values(points[:, 2], "m")}
    return fields | {name: Values(points[:, place]) for place, name in enumerate(columns) if place > 2}


def clouds_of(path: Path) -> list[Path]:
    """The file, or all clouds in a folder.

    Raises:
        ConfigError: a folder without clouds.
    """
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _CLOUDS)
    if not files:
        raise ConfigError(f"{path} holds no cloud; known formats are {', '.join(_CLOUDS)}.")
    return files


def frames_of(
    dataset: Any, paths: Sequence[str], samples: Sequence[int] | None = None
) -> Iterator[tuple[str, LidarFrame]]:
    """Names and frames of files, of all clouds in folders, or of a data set's samples, by default all, where no path is given."""
    for index in () if paths else range(len(dataset)) if samples is None else samples:
        frame = dataset.read(index)
        yield dataset.frame_name(index, frame), frame
    for path in (file for name in paths for file in clouds_of(Path(name))):
        cloud = read_points(path)
        yield path.stem, LidarFrame(cloud.points, cloud.columns, str(path))


def free_name(stem: str, taken: set[str]) -> str:
    """The name, with a number where it is taken; it is taken then."""
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}_{count}"
    taken.add(name)
    return name


def baseline(config: Mapping[str, Any], *, trees: int = 500) -> Baseline:
    """A forest on the splits of an experiment.

    Raises:
        ConfigError: the experiment lacks a validation or a test split.
    """
    if "val_dataloader" not in config:
        raise ConfigError("the forest's features are chosen on a validation split: the config has no val_dataloader.")
    train_split, validation = (build(config[f"{name}_dataloader"]["dataset"]) for name in ("train", "val"))
    return forest_baseline(train_split, validation, build(test_options(config)), trees=trees)
