"""What the neurons of a network do, and whether that is healthy."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.layers.monitor.activity import Gradients, LayerActivity, Membranes
    from spikevox.layers.monitor.finding import HealthFinding, Thresholds, judge, judge_drift
    from spikevox.layers.monitor.firing import Firing, FiringMonitor
    from spikevox.layers.monitor.health import HealthMonitor

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "activity": ("Gradients", "LayerActivity", "Membranes"),
        "finding": ("HealthFinding", "Thresholds", "judge", "judge_drift"),
        "firing": ("Firing", "FiringMonitor"),
        "health": ("HealthMonitor",),
    },
)
