"""Classification of whole clouds."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.tasks.classification.baseline import Baseline, forest_baseline
    from spikevox.tasks.classification.metric import ClassificationMetric, ClassificationResult
    from spikevox.tasks.classification.model import Classifier
    from spikevox.tasks.classification.scoring import Evaluation, evaluate

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "baseline": ("Baseline", "forest_baseline"),
        "metric": ("ClassificationMetric", "ClassificationResult"),
        "model": ("Classifier",),
        "scoring": ("Evaluation", "evaluate"),
    },
)
