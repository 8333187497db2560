"""Segmentation: a class for every point."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.tasks.segmentation.baseline import PointBaseline, PointForest, point_forest
    from spikevox.tasks.segmentation.inference import PointSegmenter, cover_points, most_likely, turned_views
    from spikevox.tasks.segmentation.losses import class_weights, lovasz_softmax
    from spikevox.tasks.segmentation.memory import copy_nearest
    from spikevox.tasks.segmentation.metric import SegmentationMetric, SegmentationResult
    from spikevox.tasks.segmentation.model import Segmenter

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "baseline": ("PointBaseline", "PointForest", "point_forest"),
        "inference": ("PointSegmenter", "cover_points", "most_likely", "turned_views"),
        "losses": ("class_weights", "lovasz_softmax"),
        "memory": ("copy_nearest",),
        "metric": ("SegmentationMetric", "SegmentationResult"),
        "model": ("Segmenter",),
    },
)
