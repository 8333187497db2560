"""Weights of published networks of spconv, into ours and back."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.layers.convert.conversion import Conversion, from_published, to_published
    from spikevox.layers.convert.kernel import Axes, kernel_from_spconv, kernel_to_spconv
    from spikevox.layers.convert.published import PUBLISHED, Entry, Published
    from spikevox.layers.convert.recognition import Recognised, recognise, strip_wrappers
    from spikevox.layers.convert.report import ConversionError, ConversionReport

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "conversion": ("Conversion", "from_published", "to_published"),
        "kernel": ("Axes", "kernel_from_spconv", "kernel_to_spconv"),
        "published": ("PUBLISHED", "Entry", "Published"),
        "recognition": ("Recognised", "recognise", "strip_wrappers"),
        "report": ("ConversionError", "ConversionReport"),
    },
)
