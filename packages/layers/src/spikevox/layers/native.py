"""Our compiled library (csrc/), loaded by ctypes: kernel maps, convolution from spikes, gradients; ``event``; boxes.

It is built when the package is installed, in seconds and without torch; where there was no compiler, ``available`` is
False and everything else works. ``SPIKEVOX_SIMD`` (``avx512``, ``avx2`` or ``portable``) forces an instruction set; by
default the best one of the processor is used.
"""

import ctypes
import math
import os
import weakref
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from spikevox.encoding.errors import CoordinateRangeError
from spikevox.layers.errors import BackendError

INTERFACE_VERSION = 5
Triple = tuple[int, int, int]
SIMD_LEVELS = ("portable", "avx2", "avx512")
_LIBRARY = Path(__file__).parent / ("_native.dll" if os.name == "nt" else "_native.so")
_SUFFIX = {torch.float32: "f32", torch.float64: "f64"}
_RANGE = 2

_Pointer = ctypes.c_void_p
_Long = ctypes.c_int64
_Int = ctypes.c_int
_Double = ctypes.c_double
_RESULT = {
    "spikevox_interface_version": _Int,
    "spikevox_last_error": ctypes.c_char_p,
    "spikevox_simd_name": ctypes.c_char_p,
    "spikevox_map_new": _Int,
    "spikevox_map_free": None,
    "spikevox_map_pairs": _Long,
    "spikevox_map_export": _Int,
    "spikevox_events_new": _Int,
    "spikevox_events_free": None,
    "spikevox_events_count": _Long,
    "spikevox_convolve": _Int,
    "spikevox_weight_gradient": _Int,
    "spikevox_sites_new": _Int,
    "spikevox_sites_free": None,
    "spikevox_sites_rows": _Long,
    "spikevox_sites_disorder": _Long,
    "spikevox_sites_bounds": None,
    "spikevox_sites_export": None,
    **{f"spikevox_{name}": _Int for name in ("statistics", "normalise", "normalise_gradient")},
    **{f"spikevox_unit_{name}": _Int for name in ("forward", "backward")},
    "spikevox_session_rows": _Long,
    "spikevox_session_coordinates": None,
    "spikevox_session_free": None,
    **{f"spikevox_network_{name}": _Int for name in ("new", "sites", "map", "slot", "layer", "output")},
    "spikevox_network_free": None,
    "spikevox_network_prepare": _Int,
    "spikevox_network_execute": _Int,
    **{f"spikevox_box_{name}": _Int for name in ("overlaps", "pairs", "suppress")},
}
_ARGUMENTS = {
    "spikevox_simd_name": [_Int],
    "spikevox_map_new": [_Pointer, _Long, _Pointer, _Long, _Pointer, _Pointer, _Pointer, _Int, _Int, _Pointer],
    "spikevox_map_free": [_Pointer],
    "spikevox_map_pairs": [_Pointer],
    "spikevox_map_export": [_Pointer] * 4,
    "spikevox_events_new": [_Int, _Pointer, _Long, _Long, _Int, _Pointer],
    "spikevox_events_free": [_Pointer],
    "spikevox_events_count": [_Pointer],
    "spikevox_convolve": [
        *(_Int, _Pointer, _Int, _Pointer, _Pointer, _Long, _Long, _Pointer, _Int, _Long, _Pointer, _Int),
    ],
    "spikevox_weight_gradient": [
        *(_Int, _Pointer, _Int, _Pointer, *(_Pointer, _Long, _Long) * 2, _Pointer, _Int),
    ],
    "spikevox_sites_new": [_Pointer, _Long, _Pointer, _Pointer],
    "spikevox_sites_free": [_Pointer],
    "spikevox_sites_rows": [_Pointer],
    "spikevox_sites_disorder": [_Pointer, _Long],
    "spikevox_sites_bounds": [_Pointer, _Long, _Pointer],
    "spikevox_sites_export": [_Pointer, _Pointer],
    "spikevox_statistics": [_Int, _Pointer, _Long, _Long, _Pointer, _Pointer, _Int],
    "spikevox_normalise": [_Int, _Pointer, _Long, _Long, _Pointer, _Pointer, _Double, *[_Pointer] * 3, _Int],
    "spikevox_normalise_gradient": [
        *(_Int, _Pointer, _Pointer, _Long, _Long, _Pointer, _Pointer, _Double, *[_Pointer] * 4, _Int),
    ],
    "spikevox_unit_forward": [_Int, _Pointer, _Int, *[_Pointer] * 3, _Int],
    "spikevox_unit_backward": [_Int, _Pointer, _Int, *[_Pointer] * 7, _Int],
    "spikevox_session_rows": [_Pointer, _Int],
    "spikevox_session_coordinates": [_Pointer, _Int, _Pointer],
    "spikevox_session_free": [_Pointer],
    "spikevox_network_new": [_Pointer],
    "spikevox_network_free": [_Pointer],
    "spikevox_network_sites": [_Pointer, _Int, _Pointer, _Pointer],
    "spikevox_network_map": [_Pointer, _Int, _Int, _Pointer, _Pointer],
    "spikevox_network_slot": [_Pointer, _Int, _Long, _Int, _Int, _Pointer],
    "spikevox_network_layer": [_Pointer, _Pointer, _Pointer],
    "spikevox_network_output": [_Pointer, _Int, _Pointer],
    "spikevox_network_prepare": [_Pointer, _Pointer, _Long, _Long, _Int, _Pointer],
    "spikevox_network_execute": [_Int, _Pointer, _Pointer, _Pointer, _Pointer, _Pointer, _Int],
    "spikevox_box_overlaps": [_Pointer, _Long, _Pointer, _Long, _Int, _Pointer, _Int],
    "spikevox_box_pairs": [_Pointer, _Pointer, _Long, _Int, _Pointer, _Int],
    "spikevox_box_suppress": [_Pointer, _Pointer, _Long, _Int, _Double, _Long, _Pointer, _Pointer],
}
_UNTYPED = ("interface_version", "last_error", "simd_name", "map_", "sites_", "session_", "box_")


def available() -> bool:
    """True where the library was built and loads."""
    return reason_absent() == ""


def reason_absent() -> str:
    """Why the library cannot be used; empty where it can."""
    if not _LIBRARY.is_file():
        return "it was not built: install a C++ compiler (Debian: apt-get install g++), then install the package again"
    try:
        library()
    except (OSError, AttributeError, BackendError) as error:
        return str(error)
    return ""


@cache
def library() -> ctypes.CDLL:
    """The library with the types of its functions.

    Raises:
        OSError: it is not there or does not load.
        BackendError: it is of another version.
    """
    library = ctypes.CDLL(str(_LIBRARY))
    found = library.spikevox_interface_version()
    if found != INTERFACE_VERSION:
        raise BackendError(
            f"{_LIBRARY.name} has interface {found}, this version needs {INTERFACE_VERSION}: install the package again."
        )
    for name, result in _RESULT.items():
        untyped = name.removeprefix("spikevox_").startswith(_UNTYPED)
        for full in (name,) if untyped else (f"{name}_f32", f"{name}_f64"):
            function = getattr(library, full)
            function.restype = result
            function.argtypes = _ARGUMENTS.get(name, [])
    return library


def simd() -> str:
    """Name of the instruction set in use.

    Raises:
        BackendError: ``SPIKEVOX_SIMD`` names one that is unknown or that this processor lacks.
    """
    return SIMD_LEVELS[chosen_level()]


def chosen_level() -> int:
    """Number of the instruction set in use; raises as :func:`simd` does."""
    return level(os.environ.get("SPIKEVOX_SIMD", ""))


@cache
def level(wanted: str) -> int:
    """Number of an instruction set by its name, of the best one for no name."""
    there = [number for number, _ in enumerate(SIMD_LEVELS) if library().spikevox_simd_name(number)]
    if not wanted:
        return there[-1]
    if wanted not in SIMD_LEVELS or SIMD_LEVELS.index(wanted) not in there:
        raise BackendError(
            f"SPIKEVOX_SIMD is {wanted!r}; this processor has {', '.join(SIMD_LEVELS[number] for number in there)}."
        )
    return SIMD_LEVELS.index(wanted)


def check(code: int) -> None:
    """Raises what a call of the library reported."""
    if code == 0:
        return
    text = library().spikevox_last_error().decode("utf-8", "replace")
    if code == _RANGE:
        raise CoordinateRangeError(f"{text}. Remove far outliers or use larger voxels.")
    raise BackendError(f"the compiled library refused: {text}.")


def address(tensor: Tensor, dtype: torch.dtype, name: str) -> int:
    """Where a tensor's values lie; raises TypeError unless they can be read as they are."""
    if tensor.device.type != "cpu" or tensor.dtype != dtype or not tensor.is_contiguous():
        raise TypeError(
            f"{name} must be a contiguous {dtype} tensor on the CPU, got {tensor.dtype} on {tensor.device} with strides "
            f"{tensor.stride()}."
        )
    return tensor.data_ptr()


class NativeMap:
    """A kernel map of the library; freed with this object.

    Args:
        inputs: (N, 4) int32, ascending and unique.
        outputs: (M, 4) int32, ascending and unique.
        kernel_size: (x, y, z); output ``o`` takes the inputs at ``o + first + j * step``, ``j = 0 .. kernel_size - 1``.
        first: (x, y, z) in units of the coordinates.
        step: (x, y, z) in units of the coordinates, positive.
        trusted: sites are known to ascend; it is not looked at.

    Attributes:
        inputs: N.
        outputs: M.
        volume: K, the number of kernel offsets.

    Raises:
        CoordinateRangeError: the inputs span a box of more than 2^62 cells.
        BackendError: rows out of order.
    """

    def __init__(
        self,
        inputs: Tensor,
        outputs: Tensor,
        kernel_size: Triple,
        first: Triple,
        step: Triple,
        *,
        trusted: bool = False,
    ) -> None:
        for name, sites in (("inputs", inputs), ("outputs", outputs)):
            if sites.ndim != 2 or sites.shape[1] != 4:
                raise TypeError(f"{name} must have shape (N, 4), got {tuple(sites.shape)}.")
        self.inputs, self.outputs, self.volume = len(inputs), len(outputs), math.prod(kernel_size)
        self.handle = _Pointer()
        check(
            library().spikevox_map_new(
                address(inputs, torch.int32, "inputs"),
                len(inputs),
                address(outputs, torch.int32, "outputs"),
                len(outputs),
                (ctypes.c_int32 * 3)(*kernel_size),
                (_Long * 3)(*first),
                (_Long * 3)(*step),
                trusted,
                torch.get_num_threads(),
                ctypes.byref(self.handle),
            )
        )
        weakref.finalize(self, library().spikevox_map_free, self.handle)

    def pairs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Matches as int64 arrays (offset, in_row, out_row), ordered by offset, then output."""
        count = library().spikevox_map_pairs(self.handle)
        offsets, inputs, outputs = (torch.empty(count, dtype=torch.int64) for _ in range(3))
        check(
            library().spikevox_map_export(self.handle, offsets.data_ptr(), inputs.data_ptr(), outputs.data_ptr()),
        )
        return offsets, inputs, outputs


class NativeEvents:
    """The values of a feature table (N, C) that are not zero; freed with this object.

    Args:
        features: (N, C) float32 or float64, contiguous, C up to 65,535.

    Attributes:
        shape: (N, C).
    """

    def __init__(self, features: Tensor) -> None:
        self.shape = tuple(features.shape)
        self.dtype = features.dtype
        suffix = suffix_of(features)
        self.handle = _Pointer()
        check(
            getattr(library(), f"spikevox_events_new_{suffix}")(
                chosen_level(),
                address(features, features.dtype, "features"),
                *features.shape,
                torch.get_num_threads(),
                ctypes.byref(self.handle),
            )
        )
        weakref.finalize(self, getattr(library(), f"spikevox_events_free_{suffix}"), self.handle)

    def __len__(self) -> int:
        return int(getattr(library(), f"spikevox_events_count_{_SUFFIX[self.dtype]}")(self.handle))


def suffix(dtype: torch.dtype) -> str:
    """Suffix of the functions for float32 or float64."""
    return _SUFFIX[dtype]


def suffix_of(features: Tensor) -> str:
    """Suffix of the functions for a type; raises TypeError for one that the library lacks."""
    if features.dtype not in _SUFFIX or features.ndim != 2:
        raise TypeError(
            f"features must be float32 or float64 of shape (N, C), got {features.dtype} {tuple(features.shape)}."
        )
    return _SUFFIX[features.dtype]


def convolve(
    features: Tensor,
    events: NativeEvents | None,
    weight: Tensor,
    kernel_map: NativeMap,
    *,
    transposed: bool,
    turned: bool = False,
) -> Tensor:
    """Features (M, C_out) from features (N, C_in), or their events, and weight (K, C_in, C_out).

    Where ``turned``, the weight is (K, C_out, C_in): a gradient goes through the weight of the forward pass as it is.
    """
    suffix = suffix_of(features)
    inputs, outputs = (2, 1) if turned else (1, 2)
    if weight.ndim != 3 or (weight.shape[0], weight.shape[inputs]) != (kernel_map.volume, features.shape[1]):
        order = "C_out, {}" if turned else "{}, C_out"
        raise TypeError(
            f"weight must have shape ({kernel_map.volume}, {order.format(features.shape[1])}), got {tuple(weight.shape)}."
        )
    result = features.new_empty(kernel_map.inputs if transposed else kernel_map.outputs, weight.shape[outputs])
    check(
        getattr(library(), f"spikevox_convolve_{suffix}")(
            chosen_level(),
            kernel_map.handle,
            transposed,
            _events_of(features, events),
            address(features, features.dtype, "features"),
            *features.shape,
            address(weight, features.dtype, "weight"),
            turned,
            result.shape[1],
            result.data_ptr(),
            torch.get_num_threads(),
        )
    )
    return result


def weight_gradient(
    features: Tensor, events: NativeEvents | None, grad: Tensor, kernel_map: NativeMap, *, transposed: bool
) -> Tensor:
    """Gradient (K, C_in, C_out) from features (N, C_in), or their events, and the gradient (M, C_out)."""
    suffix = suffix_of(features)
    if grad.ndim != 2:
        raise TypeError(f"grad must have shape (M, C_out), got {tuple(grad.shape)}.")
    result = grad.new_empty(kernel_map.volume, features.shape[1], grad.shape[1])
    check(
        getattr(library(), f"spikevox_weight_gradient_{suffix}")(
            chosen_level(),
            kernel_map.handle,
            transposed,
            _events_of(features, events),
            address(features, features.dtype, "features"),
            *features.shape,
            address(grad, features.dtype, "grad"),
            *grad.shape,
            result.data_ptr(),
            torch.get_num_threads(),
        )
    )
    return result


def _events_of(features: Tensor, events: NativeEvents | None) -> ctypes.c_void_p | None:
    if events is not None and events.dtype != features.dtype:
        raise TypeError(f"events of {events.dtype} belong to other features than these of {features.dtype}.")
    return None if events is None else events.handle
