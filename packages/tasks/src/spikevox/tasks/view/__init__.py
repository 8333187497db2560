"""Pictures."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.tasks.view.figures import confusion_figure, save_figure, spikes_figure

__getattr__, __dir__, __all__ = lazy_exports(
    __name__, {"figures": ("confusion_figure", "save_figure", "spikes_figure")}
)
