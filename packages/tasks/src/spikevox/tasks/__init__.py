"""spikevox.tasks."""

from spikevox.encoding.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(__name__, {}, distribution="spikevox-tasks")
