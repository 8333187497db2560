"""From a trained network to hardware: binary spikes, integer arithmetic, events, files."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.layers.deploy.binary import to_binary
    from spikevox.layers.deploy.binary_spikes import BinarySpikes

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "binary": ("to_binary",),
        "binary_spikes": ("BinarySpikes",),
    },
)
