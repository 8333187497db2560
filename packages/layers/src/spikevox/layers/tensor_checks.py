"""Checks of features and coordinates where they enter a sparse tensor."""

from typing import Any

import torch
from torch import Tensor

from spikevox.encoding.errors import CoordinateRangeError
from spikevox.layers.backends.geometry import Triple
from spikevox.layers.backends.site_table import Box
from spikevox.layers.coordinates import COORDINATE_LIMIT
from spikevox.layers.errors import SparseTensorError

_WHOLE = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)


def check_features(features: Any, time_steps: int | None) -> None:
    """Features are a floating (N, C), or (T, N, C) where time steps are declared.

    Raises:
        TypeError: not a floating torch tensor.
        SparseTensorError: another shape, or NaN or infinite values, with their rows.
    """
    if not isinstance(features, Tensor) or not features.is_floating_point():
        kind = features.dtype if isinstance(features, Tensor) else type(features).__name__
        raise TypeError(f"features must be a floating torch tensor, got {kind}.")
    if time_steps is None:
        if features.ndim != 2:
            raise SparseTensorError(
                f"features must have shape (N, C), got {tuple(features.shape)}. For (T, N, C) pass time_steps=T."
            )
    elif features.ndim != 3 or features.shape[0] != time_steps or time_steps < 1:
        raise SparseTensorError(
            f"features must have shape ({time_steps}, N, C) for time_steps={time_steps}, got {tuple(features.shape)}."
        )
    if features.numel() and not bool(torch.isfinite(features.detach().sum())):
        finite = torch.isfinite(features.detach()).all(dim=-1)
        rows = (~(finite if time_steps is None else finite.all(dim=0))).nonzero().squeeze(1).tolist()
        if rows:
            raise SparseTensorError(
                f"{len(rows)} of {features.shape[-2]} rows of features hold NaN or infinite values (first rows: "
                f"{rows[:5]}). Find where they arise, or drop these rows.",
                rows,
            )


def check_coordinates(coordinates: Any, features: Tensor, batch_column: int) -> Tensor:
    """Coordinates as (N, 4) int32 or int64 with the sample in column 0.

    Raises:
        TypeError: not a torch tensor of whole numbers.
        SparseTensorError: another shape, or another number of rows or device than the features.
    """
    if not isinstance(coordinates, Tensor) or coordinates.dtype not in _WHOLE:
        kind = coordinates.dtype if isinstance(coordinates, Tensor) else type(coordinates).__name__
        raise TypeError(
            f"coordinates must be a torch tensor of whole numbers, got {kind}. Points in metres become voxel "
            "coordinates by spikevox.encoding.voxelize and collate."
        )
    if coordinates.ndim != 2 or coordinates.shape[1] != 4 or coordinates.shape[0] != features.shape[-2]:
        raise SparseTensorError(
            f"coordinates must have shape (N, 4) (sample, x, y, z) with as many rows as the features, got "
            f"coordinates {tuple(coordinates.shape)} and features {tuple(features.shape)}."
        )
    if coordinates.device != features.device:
        raise SparseTensorError(f"coordinates are on {coordinates.device}, features on {features.device}.")
    if batch_column not in (0, 3, -1):
        raise SparseTensorError(f"batch_column must be 0 (first) or -1 (last), got {batch_column}.")
    if coordinates.dtype != torch.int32:
        coordinates = coordinates.to(torch.int64)
    return coordinates if batch_column == 0 else coordinates.roll(1, dims=1)


def check_samples(coordinates: Tensor, box: Box, batch_size: int | None) -> int:
    """The batch size; sample indices lie in ``[0, batch_size)``, and gaps are empty samples.

    Args:
        coordinates: (N, 4) int32 or int64.
        box: the smallest around them.
        batch_size: as declared.

    Raises:
        SparseTensorError: indices outside, with their rows.
    """
    samples = coordinates[:, 0]
    if batch_size is None:
        if len(samples) == 0:
            raise SparseTensorError("a tensor without sites needs batch_size=, which nothing else tells.")
        batch_size = max(0, box.upper[0]) + 1
    if batch_size < 1:
        raise SparseTensorError(f"batch_size must be at least 1, got {batch_size}.")
    if len(samples) == 0 or (box.lower[0] >= 0 and box.upper[0] < batch_size):
        return batch_size
    wrong = (samples < 0) | (samples >= batch_size)
    rows = wrong.nonzero().squeeze(1).tolist()
    last = coordinates[:, 3]
    fits = bool(((last >= 0) & (last < batch_size)).all())
    hint = (
        " Every value of the last column would fit: if the sample stands there, pass batch_column=-1." if fits else ""
    )
    raise SparseTensorError(
        f"{len(rows)} of {len(samples)} sample indices in column 0 lie outside [0, {batch_size}) (first rows: "
        f"{rows[:5]}, values: {samples[wrong][:5].tolist()}).{hint}",
        rows,
    )


def check_range(coordinates: Tensor, box: Box, tensor_stride: Triple) -> None:
    """Coordinates leave room for kernels inside int32, and are multiples of the tensor stride.

    Args:
        coordinates: (N, 4) int32 or int64.
        box: the smallest around them.
        tensor_stride: of the tensor.

    Raises:
        CoordinateRangeError: beyond ``COORDINATE_LIMIT``, with rows.
        SparseTensorError: off the tensor stride, with rows.
    """
    spatial = coordinates[:, 1:]
    if len(spatial) == 0:
        return
    if max(box.upper[1:]) > COORDINATE_LIMIT or min(box.lower[1:]) < -COORDINATE_LIMIT:
        rows = (spatial.to(torch.int64).abs() > COORDINATE_LIMIT).any(dim=1).nonzero().squeeze(1).tolist()
        raise CoordinateRangeError(
            f"{len(rows)} of {len(spatial)} coordinates lie beyond {COORDINATE_LIMIT}, the largest that leaves "
            f"room for kernels and strides in int32 (first rows: {rows[:5]}). Subtract an offset first.",
            rows,
        )
    if tensor_stride == (1, 1, 1):
        return
    x, y, z = (column % s != 0 for column, s in zip(spatial.unbind(1), tensor_stride, strict=True))
    off = x | y | z
    if bool(off.any()):
        rows = off.nonzero().squeeze(1).tolist()
        raise SparseTensorError(
            f"{len(rows)} of {len(spatial)} coordinates are no multiples of tensor_stride {tensor_stride} (first "
            f"rows: {rows[:5]}). At tensor stride s, neighbouring sites lie s apart: multiply site indices by s.",
            rows,
        )
