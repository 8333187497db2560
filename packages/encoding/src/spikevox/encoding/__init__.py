"""Point clouds and signals to counted voxels and spike trains."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.encoding.errors import CoordinateRangeError, PointCloudError, SpikevoxError

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {"errors": ("CoordinateRangeError", "PointCloudError", "SpikevoxError")},
    distribution="spikevox-encoding",
)
