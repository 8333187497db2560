"""Sites as the compiled library sees them: their bounds and their order, by one walk along them."""

import ctypes

import torch
from torch import Tensor

from spikevox.layers import native
from spikevox.layers.errors import BackendError


def reads_sites(sites: Tensor) -> bool:
    """Whether :func:`bounds` and :func:`ascend` can be asked about sites (N, 4)."""
    return sites.dtype == torch.int32 and sites.device.type == "cpu" and sites.is_contiguous() and native.available()


def bounds(sites: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Smallest and largest (sample, x, y, z) of sites (N, 4) int32; zeros without a site."""
    box = (ctypes.c_int64 * 8)()
    native.library().spikevox_sites_bounds(_address_of_sites(sites), len(sites), box)
    return tuple(box[:4]), tuple(box[4:])


def ascend(sites: Tensor) -> bool:
    """Whether sites (N, 4) int32 ascend without repetition."""
    return _first_disorder(sites) < 0


def check_ascending(sites: Tensor) -> None:
    """Raises BackendError unless sites (N, 4) int32 ascend without repetition."""
    row = _first_disorder(sites)
    if row >= 0:
        raise BackendError(f"sites must ascend without repetition; row {row} does not.")


def _address_of_sites(sites: Tensor) -> int:
    if sites.ndim != 2 or sites.shape[1] != 4:
        raise TypeError(f"sites must have shape (N, 4), got {tuple(sites.shape)}.")
    return native.address(sites, torch.int32, "sites")


def _first_disorder(sites: Tensor) -> int:
    return native.library().spikevox_sites_disorder(_address_of_sites(sites), len(sites))
