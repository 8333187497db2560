"""Operations of torch between layers: those that move values, those that sum them, and all others."""

from typing import Any

import torch
from torch import Tensor


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Values are handed on, chosen or put in another place.
MOVES = _words(
    """
    _reshape_alias _reshape_copy _to_copy _unsafe_view alias alias_copy as_strided as_strided_ cat chunk clone
    constant_pad_nd contiguous copy copy_ detach detach_ diagonal diagonal_copy dropout empty_like expand expand_copy
    fill fill_ flatten flip full_like gather index index_copy index_copy_ index_fill index_fill_ index_put index_put_
    index_select lift lift_fresh lift_fresh_copy masked_fill masked_fill_ masked_scatter masked_scatter_ masked_select
    narrow new_empty new_empty_strided new_full new_ones new_zeros ones_like pad permute permute_copy pixel_shuffle
    pixel_unshuffle repeat repeat_interleave reshape resize_ roll scatter scatter_ select select_copy select_scatter
    set_ slice slice_copy slice_scatter split split_with_sizes squeeze squeeze_ squeeze_copy stack t t_copy
    take_along_dim to transpose transpose_ transpose_copy unbind unflatten unfold unsafe_chunk unsafe_split
    unsafe_split_with_sizes unsqueeze unsqueeze_ unsqueeze_copy view view_as view_copy where zero_ zeros_like
    """
)
# One addition, or one comparison, for each value that goes into a sum or a maximum.
SUMS = _words("sum mean amax amin index_add index_add_ scatter_add scatter_add_ scatter_reduce scatter_reduce_")
# One addition for each number made.
ADDITIONS = _words("add add_ sub sub_ rsub maximum minimum")
# Spikes that go through are spikes afterwards.
_KEEPS_SPIKES = _words("add add_ sum amax maximum index_add index_add_ scatter_add scatter_add_")


def name_of(func: Any) -> str:
    """Name of an operation without overload: ``index_put_``."""
    return str(func.overloadpacket.__name__)


def keeps_spikes(name: str) -> bool:
    """Whether an operation makes whole numbers from 0 on of such numbers."""
    return name in MOVES or name in _KEEPS_SPIKES


def additions(name: str, args: Any, kwargs: Any, inputs: list[Tensor], result: Tensor) -> int | None:
    """Additions and comparisons of an operation that sums features; ``None`` for one that does something else.

    A sum of n values counts n, one for each that goes in; the division of a mean is not among them.
    """
    if name in ADDITIONS:
        scaled = kwargs.get("alpha", 1) != 1
        return None if scaled else result.numel()
    if name not in SUMS:
        return None
    if name in ("sum", "mean", "amax", "amin"):
        return inputs[0].numel()
    source = kwargs.get("source", kwargs.get("src", args[3] if len(args) > 3 else inputs[-1]))
    return source.numel() if isinstance(source, Tensor) else result.numel()


def divisions(name: str, result: Tensor) -> int:
    """Multiplications by the reciprocal of a number that go with an operation that sums."""
    return result.numel() if name == "mean" else 0


def floats(value: Any) -> list[Tensor]:
    """Floating tensors in the arguments or results of an operation."""
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, dict):
        return [t for part in value.values() for t in floats(part)]
    if isinstance(value, list | tuple):
        return [t for part in value for t in floats(part)]
    return []


def whole(values: Tensor) -> bool:
    """Whether all values are whole numbers from 0 on."""
    return not values.numel() or bool(
        (values == values.floor()).all() & (values >= 0).all() & torch.isfinite(values).all()
    )
