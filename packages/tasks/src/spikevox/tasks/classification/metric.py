"""Accuracy of a classifier: overall, by class, and where it errs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from mmengine.evaluator import BaseMetric
from numpy.typing import NDArray

from spikevox.tasks.errors import ConfigError


@dataclass(frozen=True)
class ClassificationResult:
    """Figures of one evaluation.

    Attributes:
        accuracy: share of all samples that are right.
        mean_class_accuracy: mean over the classes that occur of the share that is right.
        count: samples.
        empty: samples without voxels; they count as wrong.
        confusion: (classes, classes) int64, true class by row; empty samples are in no column.
    """

    accuracy: float
    mean_class_accuracy: float
    count: int
    empty: int
    confusion: NDArray[np.int64]

    def class_accuracy(self, totals: NDArray[np.int64]) -> NDArray[np.float64]:
        """Share right of each class, NaN where a class does not occur."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.confusion.diagonal() / totals


def classification_result(
    predicted: NDArray[np.integer], labels: NDArray[np.integer], empty: NDArray[np.bool_], classes: int
) -> ClassificationResult:
    """Figures from predicted and true classes (N,); an empty sample is wrong whatever was predicted.

    Raises:
        ConfigError: no samples, or a label outside [0, classes): a split without labels cannot be scored.
    """
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= classes:
        raise ConfigError(f"a split can be scored only where every sample has a label in [0, {classes}).")
    right = (predicted == labels) & ~empty
    totals = np.bincount(labels, minlength=classes)
    by_class = np.bincount(labels[right], minlength=classes)[totals > 0] / totals[totals > 0]
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (labels[~empty], predicted[~empty]), 1)
    return ClassificationResult(float(right.mean()), float(by_class.mean()), len(labels), int(empty.sum()), confusion)


class ClassificationMetric(BaseMetric):
    """mmengine's view of :func:`classification_result`.

    Args:
        num_classes: number of classes.

    Attributes:
        score: the figure whose best validation is kept.
    """

    default_prefix = ""
    score: ClassVar[str] = "accuracy"

    def __init__(self, num_classes: int) -> None:
        super().__init__(collect_device="cpu")
        self.num_classes = num_classes

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keeps the predicted class, the label and the empty flag of each sample."""
        for sample in data_samples:
            label = -1 if sample["label"] is None else sample["label"]
            self.results.append((int(sample["scores"].argmax()), int(label), sample["empty"]))

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Accuracy, mean class accuracy, count and empty samples."""
        predicted, labels, empty = (np.array(column) for column in zip(*results, strict=True))
        result = classification_result(predicted, labels, empty.astype(bool), self.num_classes)
        return {
            "accuracy": result.accuracy,
            "mean_class_accuracy": result.mean_class_accuracy,
            "count": result.count,
            "empty": result.empty,
        }
