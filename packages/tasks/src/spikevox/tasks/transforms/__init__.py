"""Transforms of clouds."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.tasks.transforms.mix3d import mix_samples
    from spikevox.tasks.transforms.rigid import (
        TRANSFORMS,
        DropPoints,
        Flip,
        Jitter,
        LogColumns,
        Motion,
        NormaliseSphere,
        RotateZ,
        Scale,
        ScaleColumns,
        Shift,
        Transform,
        affine_map,
        build_transform,
        linear_map,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "mix3d": ("mix_samples",),
        "rigid": (
            "TRANSFORMS",
            "DropPoints",
            "Flip",
            "Jitter",
            "LogColumns",
            "Motion",
            "NormaliseSphere",
            "RotateZ",
            "Scale",
            "ScaleColumns",
            "Shift",
            "Transform",
            "affine_map",
            "build_transform",
            "linear_map",
        ),
    },
)
