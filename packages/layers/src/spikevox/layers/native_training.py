"""Batch normalisation, integer spikes, and both with a convolution between them, from the compiled library.

Any number of threads gives the same bits.
"""

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor

from spikevox.layers import native


class Statistics(NamedTuple):
    """Of each channel of a table.

    Attributes:
        mean: (C,) float64.
        variance: (C,) float64, the biased one.
    """

    mean: Tensor
    variance: Tensor


def _call(name: str, like: Tensor, *arguments: object) -> None:
    function = getattr(native.library(), f"spikevox_{name}_{native.suffix_of(like)}")
    native.check(function(native.chosen_level(), *arguments))


def _channels(values: Tensor, like: Tensor, name: str) -> int:
    if values.shape != like.shape[1:]:
        raise TypeError(f"{name} must have shape ({like.shape[1]},), got {tuple(values.shape)}.")
    return native.address(values, like.dtype, name)


def _rows(values: Tensor, like: Tensor, name: str) -> int:
    if values.shape != like.shape:
        raise TypeError(f"{name} must have shape {tuple(like.shape)}, got {tuple(values.shape)}.")
    return native.address(values, like.dtype, name)


def _both(of_x: Statistics, like: Tensor) -> tuple[int, int]:
    for values in of_x:
        if values.shape != like.shape[1:] or values.dtype != torch.float64 or not values.is_contiguous():
            raise TypeError(
                f"of_x must hold float64 of shape ({like.shape[1]},), got {values.dtype} {tuple(values.shape)}."
            )
    return of_x.mean.data_ptr(), of_x.variance.data_ptr()


def statistics(x: Tensor) -> Statistics:
    """Mean and variance of each channel of (N, C), N from 1."""
    native.suffix_of(x)
    mean, variance = (torch.empty(x.shape[1], dtype=torch.float64) for _ in range(2))
    _call(
        *("statistics", x, native.address(x, x.dtype, "x"), *x.shape),
        *(mean.data_ptr(), variance.data_ptr(), torch.get_num_threads()),
    )
    return Statistics(mean, variance)


def normalise(x: Tensor, of_x: Statistics, eps: float, weight: Tensor, bias: Tensor) -> Tensor:
    """``(x - mean) / sqrt(variance + eps) * weight + bias`` of (N, C), with weight and bias (C,)."""
    result = torch.empty_like(x)
    _call(
        *("normalise", x, native.address(x, x.dtype, "x"), *x.shape, *_both(of_x, x), eps),
        *(_channels(weight, x, "weight"), _channels(bias, x, "bias"), result.data_ptr(), torch.get_num_threads()),
    )
    return result


def normalise_gradient(
    grad: Tensor, x: Tensor, of_x: Statistics, eps: float, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x (N, C), weight (C,) and bias (C,) from that of the result (N, C)."""
    of_input, of_weight, of_bias = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)
    _call(
        *("normalise_gradient", x, _rows(grad, x, "grad"), native.address(x, x.dtype, "x"), *x.shape),
        *(*_both(of_x, x), eps, _channels(weight, x, "weight")),
        *(of_input.data_ptr(), of_weight.data_ptr(), of_bias.data_ptr(), torch.get_num_threads()),
    )
    return of_input, of_weight, of_bias


def fire(membrane: Tensor, levels: int) -> Tensor:
    """Spikes ``floor(clamp(u, 0, levels) + 0.5)`` of a membrane (N, C); NaN stays NaN."""
    spikes = torch.empty_like(membrane)
    _call(
        *("fire", membrane, native.address(membrane, membrane.dtype, "membrane"), membrane.numel(), float(levels)),
        *(spikes.data_ptr(), torch.get_num_threads()),
    )
    return spikes


def mask_gradient_(grad: Tensor, membrane: Tensor, levels: int) -> Tensor:
    """Sets a gradient (N, C) to 0 in place where the membrane is not strictly between 0 and ``levels``."""
    _call(
        *("mask_gradient", grad, _rows(membrane, grad, "membrane"), grad.numel(), float(levels)),
        *(native.address(grad, grad.dtype, "grad"), torch.get_num_threads()),
    )
    return grad


class _UnitStructure(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("membrane", "weight", "scale", "spikes", "sums", "mean", "variance")),
        *((name, ctypes.c_int64) for name in ("inputs", "outputs", "in_channels", "out_channels")),
        *((name, ctypes.c_double) for name in ("eps", "levels")),
    )


class Unit:
    """Neuron, convolution and normalisation: ``(conv(fire(membrane)) - mean) / sqrt(variance + eps) * scale + bias``.

    Args:
        membrane: (N, C_in) contiguous float32 or float64, N from 1.
        weight: (K, C_in, C_out) of the convolution.
        scale: (C_out,) of the normalisation.
        kernel_map: matches; gone through from its outputs to its inputs where ``transposed``.
        transposed: see above.
        eps: of the normalisation.
        levels: of the neuron; 0 for none.

    Attributes:
        of_sums: mean and variance of the convolution's results.
    """

    def __init__(
        self,
        membrane: Tensor,
        weight: Tensor,
        scale: Tensor,
        kernel_map: native.NativeMap,
        *,
        transposed: bool,
        eps: float,
        levels: int,
    ) -> None:
        self._suffix = native.suffix_of(membrane)
        dtype, (volume, inputs, outputs) = membrane.dtype, weight.shape
        if (volume, inputs) != (kernel_map.volume, membrane.shape[1]) or scale.shape != (outputs,):
            raise TypeError(
                f"a weight ({kernel_map.volume}, {membrane.shape[1]}, C_out) and a scale (C_out,) are needed, got "
                f"{tuple(weight.shape)} and {tuple(scale.shape)}."
            )
        self._map, self._transposed = kernel_map, transposed
        rows = kernel_map.inputs if transposed else kernel_map.outputs
        spikes = torch.empty_like(membrane) if levels else membrane
        sums = membrane.new_empty(rows, outputs)
        self.of_sums = Statistics(*torch.empty(2, outputs, dtype=torch.float64).unbind())
        # The structure holds addresses only: what they point to lives as long as this object.
        self._kept = (membrane, weight, scale, spikes, sums)
        names = ("membrane", "weight", "scale")
        addresses = [native.address(x, dtype, name) for x, name in zip(self._kept[:3], names, strict=True)]
        self._structure = _UnitStructure(
            *(*addresses, spikes.data_ptr(), sums.data_ptr(), *(x.data_ptr() for x in self.of_sums)),
            *(len(membrane), rows, inputs, outputs, eps, levels),
        )
        self._events: native.NativeEvents | None = None

    def forward(self, bias: Tensor) -> Tensor:
        """The result (M, C_out)."""
        membrane, _, scale, spikes, sums = self._kept
        result, events = torch.empty_like(sums), ctypes.c_void_p()
        if bias.shape != scale.shape:
            raise TypeError(f"bias must have shape {tuple(scale.shape)}, got {tuple(bias.shape)}.")
        self._run("forward", native.address(bias, membrane.dtype, "bias"), result.data_ptr(), last=ctypes.byref(events))
        self._events = native.NativeEvents(spikes, events) if events else None
        return result

    def backward(self, grad: Tensor, *, of_membrane: bool) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:
        """Gradients of membrane, where asked for, weight, scale and bias."""
        membrane, weight, scale, _, sums = self._kept
        found = torch.empty_like(membrane) if of_membrane else None
        of_sums, of_weight, of_scale, of_bias = (torch.empty_like(x) for x in (sums, weight, scale, scale))
        self._run(
            "backward",
            None if self._events is None else self._events.handle,
            _rows(grad, sums, "grad"),
            of_sums.data_ptr(),
            None if found is None else found.data_ptr(),
            *(x.data_ptr() for x in (of_weight, of_scale, of_bias)),
        )
        return found, of_weight, of_scale, of_bias

    def _run(self, name: str, *arguments: object, last: object = None) -> None:
        function = getattr(native.library(), f"spikevox_unit_{name}_{self._suffix}")
        head = (native.chosen_level(), self._map.handle, self._transposed, ctypes.byref(self._structure))
        tail = (torch.get_num_threads(),) if last is None else (torch.get_num_threads(), last)
        native.check(function(*head, *arguments, *tail))
