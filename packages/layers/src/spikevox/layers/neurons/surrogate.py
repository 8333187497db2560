"""Spike functions whose gradient is that of a smooth or windowed stand-in (surrogate gradient learning)."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from spikevox.layers.errors import LayerError


def rectangular(distance: Tensor, sharpness: float) -> Tensor:
    """``sharpness`` where ``|u| < 1 / (2 sharpness)``, else 0 (STBP, Wu et al. 2018)."""
    return sharpness * (distance.abs() < 0.5 / sharpness).to(distance.dtype)


def sigmoid(distance: Tensor, sharpness: float) -> Tensor:
    """Derivative of ``sigmoid(sharpness u)``."""
    smooth = torch.sigmoid(sharpness * distance)
    return sharpness * smooth * (1 - smooth)


def arctan(distance: Tensor, sharpness: float) -> Tensor:
    """Derivative of ``atan(pi / 2 sharpness u) / pi`` (PLIF, Fang et al. 2021)."""
    return sharpness / 2 / (1 + (math.pi / 2 * sharpness * distance) ** 2)


def triangle(distance: Tensor, sharpness: float) -> Tensor:
    """``sharpness max(0, 1 - sharpness |u|)`` (Bellec et al. 2018, up to scale)."""
    return sharpness * (1 - sharpness * distance.abs()).clamp(min=0)


SURROGATES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "rectangular": rectangular,
    "sigmoid": sigmoid,
    "arctan": arctan,
    "triangle": triangle,
}


class _Heaviside(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, distance: Tensor, derivative: Callable[[Tensor, float], Tensor], sharpness: float) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.derivative, ctx.sharpness = derivative, sharpness
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (distance,) = ctx.saved_tensors
        return grad * ctx.derivative(distance, ctx.sharpness), None, None


def heaviside(distance: Tensor, surrogate: str = "rectangular", sharpness: float = 1.0) -> Tensor:
    """1 where a membrane has reached its threshold (``distance >= 0``), else 0.

    Args:
        distance: membrane minus threshold, any shape.
        surrogate: ``"rectangular"``, ``"sigmoid"``, ``"arctan"`` or ``"triangle"``; the gradient used instead.
        sharpness: the larger, the narrower the surrogate.

    Example:
        >>> heaviside(torch.tensor([-0.1, 0.0, 0.1]))
        tensor([0., 1., 1.])
    """
    return _Heaviside.apply(distance, SURROGATES[surrogate], sharpness)


def check_surrogate(surrogate: str, sharpness: float) -> None:
    """Raises LayerError for an unknown surrogate or a sharpness that is not positive."""
    if surrogate not in SURROGATES:
        raise LayerError(f"unknown surrogate {surrogate!r}; there are {', '.join(SURROGATES)}.")
    check_positive("sharpness", sharpness)


def check_positive(name: str, value: float) -> None:
    """Raises LayerError unless the value is a positive, finite number."""
    if not (isinstance(value, int | float) and 0 < value < math.inf):
        raise LayerError(f"{name} must be positive and finite, got {value!r}.")


def check_decay(name: str, value: float) -> None:
    """Raises LayerError unless the value lies in [0, 1]: above 1 a membrane grows by itself."""
    if not (isinstance(value, int | float) and 0 <= value <= 1):
        raise LayerError(f"{name} must lie in [0, 1], got {value!r}.")
