"""Scores of a classifier over a data set, with votes over random views where asked for."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spikevox.encoding import collate
from spikevox.layers.monitor import Firing, FiringMonitor
from spikevox.tasks.classification.metric import ClassificationResult, classification_result
from spikevox.tasks.datasets.base import PointDataset
from spikevox.tasks.errors import ConfigError


class Evaluation(NamedTuple):
    """What a network said of every sample.

    Attributes:
        result: accuracy and confusion.
        scores: (N, classes) float64, mean over votes.
        labels: (N,) int64.
        firing: statistics of each neuron layer.
        firing_rate: mean spikes a value, over all layers.
        nonzero: share of the values that are not 0, over all layers.
    """

    result: ClassificationResult
    scores: NDArray[np.float64]
    labels: NDArray[np.int64]
    firing: dict[str, Firing]
    firing_rate: float
    nonzero: float


@torch.no_grad()
def evaluate(network: nn.Module, dataset: PointDataset, *, batch_size: int = 32, votes: int = 1) -> Evaluation:
    """Runs a classifier over a data set in evaluation mode.

    Args:
        network: a Classifier.
        dataset: with labels; its random transforms are drawn anew for each vote.
        batch_size: samples at a time.
        votes: views of each sample whose scores are averaged; 1 is the plain view.

    Raises:
        ConfigError: fewer than one vote, or a split without labels.
    """
    if votes < 1:
        raise ConfigError(f"votes must be at least 1, got {votes}.")
    training = network.training
    network.eval()
    scores: list[NDArray[np.float64]] = []
    labels, empty = [], []
    try:
        with FiringMonitor(network) as monitor:
            for vote in range(votes):
                outputs = []
                for start in range(0, len(dataset), batch_size):
                    rows = range(start, min(start + batch_size, len(dataset)))
                    outputs += network(*collate([dataset[(i, vote)] for i in rows]), mode="predict")
                scores.append(np.stack([o["scores"].double().numpy() for o in outputs]))
                labels = [-1 if o["label"] is None else o["label"] for o in outputs]
                empty.append([o["empty"] for o in outputs])
    finally:
        network.train(training)
    mean, truth = np.mean(scores, axis=0), np.array(labels)
    result = classification_result(mean.argmax(axis=1), truth, np.all(empty, axis=0), mean.shape[1])
    return Evaluation(result, mean, truth, monitor.summary(), monitor.firing_rate, monitor.nonzero)
