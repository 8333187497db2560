"""Pictures."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.tasks.view.birdseye import birdseye_figure, boxes_figure
    from spikevox.tasks.view.figures import confusion_figure, save_figure, spikes_figure
    from spikevox.tasks.view.palette import class_colours, point_colours
    from spikevox.tasks.view.ply import write_ply

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "birdseye": ("birdseye_figure", "boxes_figure"),
        "figures": ("confusion_figure", "save_figure", "spikes_figure"),
        "palette": ("class_colours", "point_colours"),
        "ply": ("write_ply",),
    },
)
