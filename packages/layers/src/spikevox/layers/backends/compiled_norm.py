"""Batch normalisation of a training on our own kernels: the same bits for any number of threads."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikevox.layers.native_training import Statistics, normalise, normalise_gradient, statistics


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        x, weight, bias = x.detach().contiguous(), weight.detach().contiguous(), bias.detach().contiguous()
        of_x = statistics(x)
        ctx.save_for_backward(x, weight, *of_x)
        ctx.eps = eps
        ctx.mark_non_differentiable(*of_x)
        return normalise(x, of_x, eps, weight, bias), *of_x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, *of_x = ctx.saved_tensors
        return *normalise_gradient(grad.contiguous(), x, Statistics(*of_x), ctx.eps, weight), None


def batch_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Statistics]:
    """Normalises each channel of x (N, C), N from 1, by its own statistics, which are returned with the result."""
    result, mean, variance = _BatchNorm.apply(x, weight, bias, eps)
    return result, Statistics(mean, variance)
