"""Operations of a network on real inputs, and what they cost."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.layers.energy.conclusion import verdict
    from spikevox.layers.energy.counter import Call, register_counter
    from spikevox.layers.energy.counting import count_operations
    from spikevox.layers.energy.counts import LayerCount, OperationCounts
    from spikevox.layers.energy.rectify import with_relu
    from spikevox.layers.energy.report import EnergyReport, energy_report
    from spikevox.layers.energy.scope import uncounted
    from spikevox.layers.energy.table import EnergyTable, load_table, table_names

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "counter": ("Call", "register_counter"),
        "counting": ("count_operations",),
        "counts": ("LayerCount", "OperationCounts"),
        "rectify": ("with_relu",),
        "report": ("EnergyReport", "energy_report"),
        "scope": ("uncounted",),
        "table": ("EnergyTable", "load_table", "table_names"),
        "conclusion": ("verdict",),
    },
)
