"""Event-driven inference on the CPU."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.layers.event.network import EventNetwork, EventResult, LayerWork, compile

__getattr__, __dir__, __all__ = lazy_exports(
    __name__, {"network": ("EventNetwork", "EventResult", "LayerWork", "compile")}
)
