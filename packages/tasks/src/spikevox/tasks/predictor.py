"""Inference from Python: a weights file is enough, it tells the network and how to make voxels."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from spikevox.encoding import Voxels, collate
from spikevox.layers import reset_states
from spikevox.layers.monitor import FiringMonitor
from spikevox.tasks.build import build
from spikevox.tasks.checkpoint import check_facts, load_strictly, neuron_facts, read_weights
from spikevox.tasks.classification import Classifier
from spikevox.tasks.datasets.base import PointPipeline
from spikevox.tasks.detection import BoxPredictor, Detector
from spikevox.tasks.errors import CheckpointError
from spikevox.tasks.segmentation import PointSegmenter, Segmenter

_NEEDED = ("model", "voxels", "class_names")
_KINDS: dict[type[torch.nn.Module], tuple[str, str]] = {
    Classifier: ("classifies whole clouds", "load_predictor"),
    Segmenter: ("labels points", "load_segmenter"),
    Detector: ("finds boxes", "load_detector"),
}


class Prediction(NamedTuple):
    """What a network says of one cloud.

    Attributes:
        label: name of the most likely class.
        scores: (classes,) float32, they sum to 1.
        firing_rate: mean spikes a neuron and site.
    """

    label: str
    scores: NDArray[np.float32]
    firing_rate: float


class Predictor:
    """A trained classifier; call it with points.

    Attributes:
        class_names: names of the classes, in the order of the scores.
        pipeline: how points become voxels.
        facts: all that the weights file says of itself.
    """

    def __init__(self, network: torch.nn.Module, facts: dict[str, Any]) -> None:
        self.network = network.eval()
        self.facts = facts
        self.class_names = tuple(facts["class_names"])
        self.pipeline = PointPipeline(**facts["voxels"])

    def voxelize(self, points: Any, *, source: str = "point cloud") -> Voxels:
        """Voxels of a cloud (P, columns) as the network expects them; further columns are cut off."""
        table = np.asarray(points)
        return self.pipeline(
            table[:, : len(self.pipeline.columns)] if table.ndim == 2 else table,
            np.random.default_rng(0),
            source=source,
        )

    @torch.no_grad()
    def __call__(self, points: Any, *, source: str = "point cloud") -> Prediction:
        """Classifies one cloud.

        Args:
            points: (P, C) numbers; the columns that the network was trained on come first.
            source: what to call the cloud in messages.

        Raises:
            PointCloudError: points that cannot be voxelised, or of which nothing is left.
        """
        batch = collate([self.voxelize(points, source=source)])
        reset_states(self.network)
        with FiringMonitor(self.network) as monitor:
            scores = self.network(*batch, mode="predict")[0]["scores"].numpy()
        return Prediction(self.class_names[int(scores.argmax())], scores, monitor.firing_rate)


def load_predictor(weights: str | Path) -> Predictor:
    """Loads a classifier's weights file written by training; the file alone is enough.

    Raises:
        CheckpointError: a file that is damaged, foreign, or names anything but networks of spikevox; or one of another kind.
    """
    network, facts = load_described(weights, needed=_NEEDED)
    _check_kind(network, "load_predictor", weights)
    return Predictor(network, facts)


def load_segmenter(weights: str | Path, **options: Any) -> PointSegmenter:
    """Loads a segmenter's weights file written by training; the file alone is enough.

    Args:
        weights: the file.
        **options: ``views``, ``fragments`` and ``outside``, see :class:`~spikevox.tasks.segmentation.PointSegmenter`.

    Raises:
        CheckpointError: a file that is damaged, foreign, or names anything but networks of spikevox; or one of another kind.
        ConfigError: an option out of its range.
    """
    network, facts = load_described(weights, needed=_NEEDED)
    _check_kind(network, "load_segmenter", weights)
    return PointSegmenter(network, facts["voxels"], class_names=facts["class_names"], **options)


def load_detector(weights: str | Path) -> BoxPredictor:
    """Loads a detector's weights file written by training; the file alone is enough.

    Raises:
        CheckpointError: a file that is damaged, foreign, or names anything but networks of spikevox; or one of another kind.
    """
    network, facts = load_described(weights, needed=_NEEDED)
    _check_kind(network, "load_detector", weights)
    return BoxPredictor(network, facts["voxels"])


def _check_kind(network: torch.nn.Module, called: str, weights: str | Path) -> None:
    for kind, (what, loader) in _KINDS.items():
        if isinstance(network, kind) and loader != called:
            raise CheckpointError(f"{weights} holds a network that {what}: use {loader}.")


def load_described(
    weights: str | Path, *, needed: Sequence[str] = ("model",)
) -> tuple[torch.nn.Module, dict[str, Any]]:
    """Network and description of a weights file, whatever the network is for.

    Args:
        weights: the file.
        needed: what the description has to tell.

    Raises:
        CheckpointError: a file that is damaged, foreign, does not tell that, or names anything but networks of spikevox.
    """
    tensors, facts = read_weights(weights)
    absent = [key for key in needed if key not in facts]
    if absent:
        raise CheckpointError(f"{weights} does not tell its {', '.join(absent)}: it cannot be used without its config.")
    network = build(_resolve(facts["model"], str(weights)))
    check_facts(facts, {"neurons": neuron_facts(network)}, str(weights))
    load_strictly(network, tensors, str(weights))
    return network, facts


def _resolve(node: Any, source: str) -> Any:
    """Classes for the ``"module:name"`` under ``type``."""
    if isinstance(node, list):
        return [_resolve(value, source) for value in node]
    if not isinstance(node, dict):
        return node
    result = {key: _resolve(value, source) for key, value in node.items() if key != "type"}
    if "type" in node:
        result["type"] = _network_class(str(node["type"]), source)
    return result


def _network_class(text: str, source: str) -> type[torch.nn.Module]:
    """A module class that spikevox defines: a weights file must not be able to call anything else."""
    module, _, name = text.partition(":")
    kind = None
    if module.startswith("spikevox."):
        try:
            kind = getattr(import_module(module), name, None)
        except ImportError as error:
            raise CheckpointError(f"{source} names {text!r}, which this version does not have ({error}).") from error
    if not (isinstance(kind, type) and issubclass(kind, torch.nn.Module) and kind.__module__ == module):
        raise CheckpointError(f"{source} names {text!r}; only networks of spikevox are built from a weights file.")
    return kind
