"""Which parameters of a network have a gradient."""

from itertools import pairwise
from typing import Any

import torch
from torch import nn

from spikevox.layers import BatchNorm
from spikevox.layers.conv import SparseConvolution


def gradients(network: nn.Module) -> dict[str, Any]:
    """Which parameters have a gradient.

    Returns:
        How many tensors, and how many numbers in them, have one that is finite and not 0; the names of the tensors that have
        none; and the largest gradient of each tensor, by name.
    """
    grads = {name: torch.zeros(1) if p.grad is None else p.grad for name, p in network.named_parameters()}
    good = {name: int(torch.count_nonzero(g)) if bool(g.isfinite().all()) else 0 for name, g in grads.items()}
    return {
        "tensors": len(good),
        "tensors_with_gradient": sum(count > 0 for count in good.values()),
        "parameters": sum(p.numel() for p in network.parameters()),
        "parameters_with_gradient": sum(good.values()),
        "without": [name for name, count in good.items() if not count],
        "largest": {name: float(g.abs().max()) for name, g in grads.items()},
    }


def centred(network: nn.Module) -> list[str]:
    """Names of the biases that a normalisation follows: it takes them away again, so that their true gradient is 0."""
    return [
        f"{name}.{number}.bias"
        for name, module in network.named_modules()
        if isinstance(module, nn.Sequential)
        for number, (layer, following) in enumerate(pairwise(module))
        if isinstance(layer, nn.Linear | SparseConvolution)
        and layer.bias is not None
        and isinstance(following, BatchNorm)
    ]
