"""How well points are told apart: intersection over union by class, its mean, accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from mmengine.evaluator import BaseMetric
from numpy.typing import NDArray

from spikevox.encoding import labels_to_points
from spikevox.encoding.labels import IGNORE_LABEL
from spikevox.tasks.errors import ConfigError


@dataclass(frozen=True)
class SegmentationResult:
    """Figures of one evaluation over points.

    ``iou = right / (true + predicted - right)`` of a class, counted over all points of all clouds that have a label.

    Attributes:
        confusion: (classes, classes) int64, true class by row, predicted by column.
        missed: (classes,) int64, points of each class for which nothing was predicted; they count as wrong.
    """

    confusion: NDArray[np.int64]
    missed: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Points with a label."""
        return int(self.confusion.sum() + self.missed.sum())

    @property
    def accuracy(self) -> float:
        """Share of the points that are right."""
        return float(self.confusion.trace() / self.count)

    @property
    def totals(self) -> NDArray[np.int64]:
        """(classes,) points of each class in the ground truth."""
        return self.confusion.sum(axis=1) + self.missed

    @property
    def iou(self) -> NDArray[np.float64]:
        """(classes,) intersection over union, NaN for a class that neither truth nor prediction has."""
        right = self.confusion.diagonal()
        union = self.totals + self.confusion.sum(axis=0) - right
        with np.errstate(invalid="ignore"):
            return right / union

    @property
    def miou(self) -> float:
        """Mean IoU over the classes that occur in truth or prediction, as SemanticKITTI's protocol takes it."""
        return float(np.nanmean(self.iou))

    def figures(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Mean IoU, accuracy and IoU by class as JSON types; the IoU of a class that does not occur is ``None``."""
        iou = zip(class_names, self.iou.tolist(), strict=True)
        return {
            "miou": self.miou,
            "accuracy": self.accuracy,
            "iou": {name: None if np.isnan(value) else value for name, value in iou},
        }


def count_pairs(
    predicted: NDArray[np.integer], labels: NDArray[np.integer] | None, classes: int, *, source: str = "cloud"
) -> NDArray[np.int64]:
    """Points of each pair of true and predicted class: (classes, classes + 1); the last column counts no prediction.

    Args:
        predicted: (P,) classes, -1 where nothing was predicted.
        labels: (P,) classes, -1 for points that do not count.
        classes: number of classes.
        source: what to call the cloud in messages.

    Raises:
        ConfigError: no labels at all, or labels or predictions outside [-1, classes).
    """
    if labels is None:
        raise ConfigError(f"{source} has no labels: a split can be scored only where its points have labels.")
    for name, values in (("label", labels), ("predicted class", predicted)):
        if len(values) and not IGNORE_LABEL <= values.min() <= values.max() < classes:
            raise ConfigError(f"{source}: a {name} lies outside [-1, {classes}): {values.min()} to {values.max()}.")
    known = labels != IGNORE_LABEL
    column = np.where(predicted == IGNORE_LABEL, classes, predicted)[known]
    pairs = labels[known].astype(np.int64) * (classes + 1) + column
    return np.bincount(pairs, minlength=classes * (classes + 1)).reshape(classes, classes + 1)


def segmentation_result(pairs: NDArray[np.int64]) -> SegmentationResult:
    """Figures of the sum of what :func:`count_pairs` gives.

    Raises:
        ConfigError: not one point has a label: a split without labels cannot be scored.
    """
    if not pairs.any():
        raise ConfigError("no point of the split has a label of a class: there is nothing to score.")
    return SegmentationResult(pairs[:, :-1], pairs[:, -1])


class SegmentationMetric(BaseMetric):
    """mmengine's view of :func:`segmentation_result`, for the validation of a training.

    Every point gets the class of its voxel; one outside the grid's range is missed.

    Args:
        num_classes: number of classes.

    Attributes:
        score: the figure whose best validation is kept.
    """

    default_prefix = ""
    score: ClassVar[str] = "miou"

    def __init__(self, num_classes: int) -> None:
        super().__init__(collect_device="cpu")
        self.num_classes = num_classes

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Counts the points of each cloud of a :class:`~spikevox.tasks.datasets.LabelledBatch`."""
        for cloud, output in zip(data_batch.clouds, data_samples, strict=True):
            classes = output["scores"].argmax(dim=1).cpu().numpy()
            predicted = labels_to_points(classes, cloud.voxels.inverse)
            self.results.append(count_pairs(predicted, cloud.labels, self.num_classes, source=cloud.voxels.source))

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Mean IoU, accuracy and points."""
        result = segmentation_result(np.sum(results, axis=0))
        return {"miou": result.miou, "accuracy": result.accuracy, "count": result.count}
