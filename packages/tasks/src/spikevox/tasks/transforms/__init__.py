"""Transforms of clouds."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.tasks.transforms.rigid import (
        TRANSFORMS,
        DropPoints,
        Flip,
        Jitter,
        NormaliseSphere,
        RotateZ,
        Scale,
        Shift,
        Transform,
        build_transform,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "rigid": (
            "TRANSFORMS",
            "DropPoints",
            "Flip",
            "Jitter",
            "NormaliseSphere",
            "RotateZ",
            "Scale",
            "Shift",
            "Transform",
            "build_transform",
        )
    },
)
