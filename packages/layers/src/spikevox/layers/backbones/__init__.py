"""Networks without heads, shared by classification, detection and segmentation."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.layers.backbones.encoder import SIZES, Encoder, EncoderSize

__getattr__, __dir__, __all__ = lazy_exports(__name__, {"encoder": ("SIZES", "Encoder", "EncoderSize")})
