"""From a trained network to hardware: binary spikes, integer arithmetic, events, files."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.layers.deploy.ann2snn import Conversion, ConvertedUnit, to_spiking
    from spikevox.layers.deploy.binary import to_binary
    from spikevox.layers.deploy.binary_spikes import BinarySpikes
    from spikevox.layers.deploy.event_list import EventList, load_events, record_events, save_events
    from spikevox.layers.deploy.nir_export import to_nir
    from spikevox.layers.deploy.nir_import import from_nir, read_nir, write_nir
    from spikevox.layers.deploy.pack import load_pack, save_pack
    from spikevox.layers.deploy.program import Program
    from spikevox.layers.deploy.quantize import IntegerNetwork, IntegerResult, to_integer
    from spikevox.layers.deploy.simulator import LayerTrace, Simulation, simulate

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "ann2snn": ("Conversion", "ConvertedUnit", "to_spiking"),
        "binary": ("to_binary",),
        "binary_spikes": ("BinarySpikes",),
        "event_list": ("EventList", "load_events", "record_events", "save_events"),
        "nir_export": ("to_nir",),
        "nir_import": ("from_nir", "read_nir", "write_nir"),
        "pack": ("load_pack", "save_pack"),
        "program": ("Program",),
        "quantize": ("IntegerNetwork", "IntegerResult", "to_integer"),
        "simulator": ("LayerTrace", "Simulation", "simulate"),
    },
)
