"""Pictures, and pages to look around in."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.tasks.view.birdseye import birdseye_figure, boxes_figure
    from spikevox.tasks.view.energy import SiteEnergy, energy_scene
    from spikevox.tasks.view.figures import confusion_figure, save_figure, spikes_figure
    from spikevox.tasks.view.palette import class_colours, point_colours, safe_colours
    from spikevox.tasks.view.ply import write_ply
    from spikevox.tasks.view.recording import Recorded, SpikeRecorder, record_network, site_centres
    from spikevox.tasks.view.scene import BoxLayer, Classes, PointLayer, Scene, SpikeLayer, Values, VoxelLayer
    from spikevox.tasks.view.viewer import page, save_page

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "birdseye": ("birdseye_figure", "boxes_figure"),
        "energy": ("SiteEnergy", "energy_scene"),
        "figures": ("confusion_figure", "save_figure", "spikes_figure"),
        "palette": ("class_colours", "point_colours", "safe_colours"),
        "ply": ("write_ply",),
        "recording": ("Recorded", "SpikeRecorder", "record_network", "site_centres"),
        "scene": ("BoxLayer", "Classes", "PointLayer", "Scene", "SpikeLayer", "Values", "VoxelLayer"),
        "viewer": ("page", "save_page"),
    },
)
