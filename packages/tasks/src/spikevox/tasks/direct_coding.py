"""Direct coding: the real features of the voxels are presented anew at every time step."""

from typing import Any

from torch import Tensor

from spikevox.layers import SparseTensor


def present(features: Tensor, coordinates: Tensor, time_steps: int, **options: Any) -> SparseTensor:
    """The sparse tensor that a network of some time steps takes.

    Args:
        features: (N, C) of the voxels.
        coordinates: (N, 4) batch index, x, y, z.
        time_steps: T, at least 1.
        **options: ``batch_size`` and ``backend``, see :class:`~spikevox.layers.SparseTensor`.

    Returns:
        Features (N, C) where T is 1, else (T, N, C).
    """
    if time_steps == 1:
        return SparseTensor(features, coordinates, **options)
    repeated = features.expand(time_steps, *features.shape)
    return SparseTensor(repeated, coordinates, time_steps=time_steps, **options)
