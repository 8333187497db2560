"""Joining sparse tensors: channels on equal sites, or sums over unlike sites."""

import torch

from spikevox.layers.errors import SparseTensorError
from spikevox.layers.sparse_tensor import SparseTensor, require_same_sites


def concatenate(*tensors: SparseTensor) -> SparseTensor:
    """Channels of tensors on the same sites, side by side.

    Raises:
        SparseTensorError: the tensors have different sites.
    """
    require_same_sites(*tensors)
    return tensors[0].replace(torch.cat([t.features for t in tensors], dim=-1))


def union(first: SparseTensor, second: SparseTensor) -> SparseTensor:
    """Sum over the union of two sets of sites; a site that one of them lacks counts as 0 there.

    Raises:
        SparseTensorError: different batch sizes, tensor strides, channels or time axes.
    """
    facts = [(t.batch_size, t.tensor_stride, t.features.shape[-1], t.time_steps) for t in (first, second)]
    if facts[0] != facts[1]:
        raise SparseTensorError(
            f"a union needs equal batch sizes, tensor strides, channels and time axes: {first!r} and {second!r}."
        )
    if first.sites is second.sites:
        return first + second
    return SparseTensor(
        torch.cat([first.features, second.features], dim=-2),
        torch.cat([first.coordinates, second.coordinates]),
        batch_size=first.batch_size,
        tensor_stride=first.tensor_stride,
        time_steps=first.time_steps,
        backend=first.backend,
        on_duplicate="sum",
    )
