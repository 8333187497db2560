"""Sum over the processes of a distributed run, with its gradient."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class _AllReduceSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        return total


def all_reduce_sum(value: Tensor) -> Tensor:
    """Sum of a tensor over all processes; the value itself where there is only one.

    The loss of a distributed run is the sum of the losses of its processes, so the gradient is summed as well.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return value
    return _AllReduceSum.apply(value)
