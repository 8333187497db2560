"""Batch normalisation and integer spikes of a training from the compiled library: the same bits for any threads."""

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor

from spikevox.layers import native


class Statistics(NamedTuple):
    """Of each channel of a table.

    Attributes:
        mean: (C,) float64.
        variance: (C,) float64, the biased one.
    """

    mean: Tensor
    variance: Tensor


def _call(name: str, like: Tensor, *arguments: object) -> None:
    function = getattr(native.library(), f"spikevox_{name}_{native.suffix_of(like)}")
    native.check(function(native.chosen_level(), *arguments))


def _channels(values: Tensor, like: Tensor, name: str) -> int:
    if values.shape != like.shape[1:]:
        raise TypeError(f"{name} must have shape ({like.shape[1]},), got {tuple(values.shape)}.")
    return native.address(values, like.dtype, name)


def _rows(values: Tensor, like: Tensor, name: str) -> int:
    if values.shape != like.shape:
        raise TypeError(f"{name} must have shape {tuple(like.shape)}, got {tuple(values.shape)}.")
    return native.address(values, like.dtype, name)


def _both(of_x: Statistics, like: Tensor) -> tuple[int, int]:
    for values in of_x:
        if values.shape != like.shape[1:] or values.dtype != torch.float64 or not values.is_contiguous():
            raise TypeError(
                f"of_x must hold float64 of shape ({like.shape[1]},), got {values.dtype} {tuple(values.shape)}."
            )
    return of_x.mean.data_ptr(), of_x.variance.data_ptr()


def statistics(x: Tensor) -> Statistics:
    """Mean and variance of each channel of (N, C), N from 1."""
    native.suffix_of(x)
    mean, variance = (torch.empty(x.shape[1], dtype=torch.float64) for _ in range(2))
    _call(
        *("statistics", x, native.address(x, x.dtype, "x"), *x.shape),
        *(mean.data_ptr(), variance.data_ptr(), torch.get_num_threads()),
    )
    return Statistics(mean, variance)


def normalise(x: Tensor, of_x: Statistics, eps: float, weight: Tensor, bias: Tensor) -> Tensor:
    """``(x - mean) / sqrt(variance + eps) * weight + bias`` of (N, C), with weight and bias (C,)."""
    result = torch.empty_like(x)
    _call(
        *("normalise", x, native.address(x, x.dtype, "x"), *x.shape, *_both(of_x, x), eps),
        *(_channels(weight, x, "weight"), _channels(bias, x, "bias"), result.data_ptr(), torch.get_num_threads()),
    )
    return result


def normalise_gradient(
    grad: Tensor, x: Tensor, of_x: Statistics, eps: float, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x (N, C), weight (C,) and bias (C,) from that of the result (N, C)."""
    of_input, of_weight, of_bias = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)
    _call(
        *("normalise_gradient", x, _rows(grad, x, "grad"), native.address(x, x.dtype, "x"), *x.shape),
        *(*_both(of_x, x), eps, _channels(weight, x, "weight")),
        *(of_input.data_ptr(), of_weight.data_ptr(), of_bias.data_ptr(), torch.get_num_threads()),
    )
    return of_input, of_weight, of_bias


def fire(membrane: Tensor, levels: int, out_channels: int) -> tuple[Tensor, native.NativeEvents | None]:
    """Spikes ``floor(clamp(u, 0, levels) + 0.5)`` of a membrane (N, C); NaN stays NaN.

    Their events come with them where they would serve a convolution to ``out_channels`` or its gradient.
    """
    spikes, handle = torch.empty_like(membrane), ctypes.c_void_p()
    _call(
        *("fire", membrane, native.address(membrane, membrane.dtype, "membrane"), *membrane.shape, float(levels)),
        *(out_channels, spikes.data_ptr(), torch.get_num_threads(), ctypes.byref(handle)),
    )
    return spikes, native.NativeEvents(spikes, handle) if handle else None


def mask_gradient_(grad: Tensor, membrane: Tensor, levels: int) -> Tensor:
    """Sets a gradient (N, C) to 0 in place where the membrane is not strictly between 0 and ``levels``."""
    _call(
        *("mask_gradient", grad, _rows(membrane, grad, "membrane"), grad.numel(), float(levels)),
        *(native.address(grad, grad.dtype, "grad"), torch.get_num_threads()),
    )
    return grad
