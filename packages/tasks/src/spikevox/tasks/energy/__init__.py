"""Energy of trained networks on their data."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.tasks.energy.card import energy_card, write_card
    from spikevox.tasks.energy.hook import EnergyLog
    from spikevox.tasks.energy.output import energy_figure, energy_text, write_energy
    from spikevox.tasks.energy.samples import count_samples, measure_energy
    from spikevox.tasks.energy.site_energy import SiteEnergyRecorder, site_energy_scenes

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "card": ("energy_card", "write_card"),
        "hook": ("EnergyLog",),
        "output": ("energy_figure", "energy_text", "write_energy"),
        "samples": ("count_samples", "measure_energy"),
        "site_energy": ("SiteEnergyRecorder", "site_energy_scenes"),
    },
)
