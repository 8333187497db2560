"""Mixed precision: which type products, sums and membranes have inside ``torch.autocast``.

Products of convolutions and linear layers are of autocast's type. Everything that adds up over sites or time, statistics of
normalisations, membranes, pools and losses, is float32, and so is what a convolution returns: a membrane.
Spikes lose nothing: whole numbers are exact up to 256 in bfloat16 and up to 2048 in float16. float64 is left alone,
as torch does.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

_HALF = (torch.bfloat16, torch.float16)


def is_mixed(x: Tensor) -> bool:
    """Whether autocast is on where ``x`` is, and concerns its type."""
    return x.dtype != torch.float64 and torch.is_autocast_enabled(x.device.type)


def product_type(x: Tensor) -> torch.dtype:
    """Type of the factors of a product with ``x``."""
    return torch.get_autocast_dtype(x.device.type) if is_mixed(x) else x.dtype


def accumulation_type(x: Tensor) -> torch.dtype:
    """Type in which products of factors like ``x`` add up."""
    return torch.float32 if x.dtype in _HALF else x.dtype


def result_type(x: Tensor) -> torch.dtype:
    """Type of a convolution's result for features ``x``."""
    return torch.float32 if is_mixed(x) else x.dtype


def full_precision(x: Tensor) -> Tensor:
    """``x``, in float32 where autocast has made it shorter."""
    return x.float() if x.dtype in _HALF and is_mixed(x) else x


def without_autocast(x: Tensor) -> AbstractContextManager:
    """A block in which autocast, where it is on for ``x``, is off."""
    return torch.autocast(x.device.type, enabled=False) if is_mixed(x) else nullcontext()
