"""Output sites of strided convolutions from the compiled library."""

import ctypes

import torch
from torch import Tensor

from spikevox.encoding.errors import CoordinateRangeError
from spikevox.layers import native
from spikevox.layers.backends.geometry import KernelGeometry, Triple

_Int, _Long = ctypes.c_int32, ctypes.c_int64
_LARGEST = 2**31 - 1


class Striding(ctypes.Structure):
    """How output sites come about, as csrc/sites.h has it."""

    _fields_ = (
        ("kernel", _Int * 3),
        ("stride", _Int * 3),
        ("padding", _Int * 3),
        ("dilation", _Int * 3),
        ("tensor_stride", _Long * 3),
        ("floor", ctypes.c_bool),
        ("bounded", ctypes.c_bool),
        ("extent", _Long * 3),
    )


def striding(geometry: KernelGeometry, tensor_stride: Triple, *, floor: bool, extent: Triple | None) -> Striding:
    """The structure for a convolution.

    Args:
        geometry: of the convolution.
        tensor_stride: of the inputs.
        floor: sites are ``floor(coordinate / stride)``, not all that the convolution touches.
        extent: of the inputs' grid, where it has bounds.

    Raises:
        CoordinateRangeError: a number that int32 does not hold.
    """
    if max(map(max, geometry)) > _LARGEST:
        raise CoordinateRangeError(f"{geometry} has numbers that int32 does not hold.")
    three, three_long = _Int * 3, _Long * 3
    return Striding(
        three(*geometry.kernel_size),
        three(*geometry.stride),
        three(*geometry.padding),
        three(*geometry.dilation),
        three_long(*tensor_stride),
        floor,
        extent is not None,
        three_long(*(extent or (0, 0, 0))),
    )


def strided_sites(inputs: Tensor, how: Striding) -> Tensor:
    """Ascending output sites (M, 4) int32 of ascending input sites (N, 4) int32.

    Raises:
        CoordinateRangeError: outputs leave int32, or their box does not fit 62 bits.
        TypeError: inputs of another type, shape or layout.
    """
    if inputs.ndim != 2 or inputs.shape[1] != 4:
        raise TypeError(f"inputs must have shape (N, 4), got {tuple(inputs.shape)}.")
    library, handle = native.library(), ctypes.c_void_p()
    native.check(
        library.spikevox_sites_new(
            native.address(inputs, torch.int32, "inputs"), len(inputs), ctypes.byref(how), ctypes.byref(handle)
        )
    )
    try:
        result = torch.empty(library.spikevox_sites_rows(handle), 4, dtype=torch.int32)
        library.spikevox_sites_export(handle, result.data_ptr())
    finally:
        library.spikevox_sites_free(handle)
    return result
