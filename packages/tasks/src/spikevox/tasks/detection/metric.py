"""How well a validation's boxes are found: KITTI's average precision from above and in space."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from mmengine.evaluator import BaseMetric

from spikevox.tasks.datasets.frame import Boxes
from spikevox.tasks.datasets.kitti_label import labels_without_camera
from spikevox.tasks.detection.kitti_ap import KittiResult, kitti_result
from spikevox.tasks.errors import ConfigError

LEVEL = "moderate"


def box_result(
    truth: Sequence[Boxes | None],
    found: Sequence[Boxes],
    min_overlap: Mapping[str, float],
    *,
    sources: Sequence[str] | None = None,
) -> KittiResult:
    """KITTI's figures ``bev`` and ``3d`` of boxes of any data set; every box of the ground truth counts.

    Args:
        truth: objects of each frame.
        found: detections of each frame with scores.
        min_overlap: class to the overlap that a detection must exceed; its keys are the classes scored.
        sources: what to call the frames in messages.

    Raises:
        ConfigError: frames without ground truth or of other number, no frames, or detections without scores.
    """
    rows = [None if boxes is None else labels_without_camera(boxes) for boxes in truth]
    result = kitti_result(
        rows,
        [labels_without_camera(boxes) for boxes in found],
        min_overlap=min_overlap,
        measures=("bev", "3d"),
        sources=sources,
    )
    # All boxes count at every level: the three are the same.
    return result._replace(rows=tuple(row for row in result.rows if row.level == LEVEL))


def mean_figures(result: KittiResult) -> dict[str, float]:
    """Means of ``exact`` at moderate over the classes that occur: ``ap_bev``, ``ap_3d`` in percent; the number of ``boxes``."""
    figures = {}
    rows = [row for row in result.rows if row.level == LEVEL and row.boxes]
    for measure in ("bev", "3d"):
        values = [row.exact for row in rows if row.measure == measure]
        if not values:
            raise ConfigError("no frame of the split has a box of a class: there is nothing to score.")
        figures[f"ap_{measure}"] = float(np.mean(values))
    return figures | {"boxes": sum(row.boxes for row in rows if row.measure == "3d")}


class DetectionMetric(BaseMetric):
    """mmengine's view of :func:`box_result`, for the validation of a training.

    Args:
        min_overlap: class to the overlap that a found box must exceed.

    Attributes:
        score: the figure whose best validation is kept: average precision in space over every recall.
    """

    default_prefix = ""
    score: ClassVar[str] = "ap_3d"

    def __init__(self, min_overlap: Mapping[str, float]) -> None:
        super().__init__(collect_device="cpu")
        self.min_overlap = min_overlap

    def process(self, data_batch: Any, data_samples: Sequence[Boxes]) -> None:
        """Keeps truth and detections of each frame of a :class:`~spikevox.tasks.datasets.DetectionBatch`."""
        truth = data_batch.boxes or (None,) * len(data_samples)
        self.results += list(zip(truth, data_samples, data_batch.sources, strict=True))

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Average precision from above and in space, in percent, and boxes."""
        truth, found, sources = zip(*results, strict=True)
        return mean_figures(box_result(truth, found, self.min_overlap, sources=sources))
