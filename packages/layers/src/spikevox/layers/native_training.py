"""Batch normalisation, and neuron, convolution and normalisation in one step, from the compiled library.

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


def _address_of_channels(values: Tensor, like: Tensor, name: str) -> int:
    if values.shape != like.shape[1:]:
        raise TypeError(f"{name} must have shape ({like.shape[1]},), got {tuple(values.shape)}.")
    return native.address(values, like.dtype, name)


def _address_of_rows(values: Tensor, like: Tensor, name: str) -> int:
    if values.shape != like.shape:
        raise TypeError(f"{name} must have shape {tuple(like.shape)}, got {tuple(values.shape)}.")
    return native.address(values, like.dtype, name)


def _addresses_of(of_x: Statistics, like: Tensor) -> tuple[int, int]:
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
        *("normalise", x, native.address(x, x.dtype, "x"), *x.shape, *_addresses_of(of_x, x), eps),
        *(
            _address_of_channels(weight, x, "weight"),
            _address_of_channels(bias, x, "bias"),
            result.data_ptr(),
            torch.get_num_threads(),
        ),
    )
    return result


def normalise_gradient(
    grad: Tensor, x: Tensor, of_x: Statistics, eps: float, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x (N, C), weight (C,) and bias (C,) from that of the result (N, C)."""
    of_input, of_weight, of_bias = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)
    _call(
        *("normalise_gradient", x, _address_of_rows(grad, x, "grad"), native.address(x, x.dtype, "x"), *x.shape),
        *(*_addresses_of(of_x, x), eps, _address_of_channels(weight, x, "weight")),
        *(of_input.data_ptr(), of_weight.data_ptr(), of_bias.data_ptr(), torch.get_num_threads()),
    )
    return of_input, of_weight, of_bias


class _UnitStructure(ctypes.Structure):
    """csrc/unit.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("membrane", "weight", "scale", "spikes", "sums", "mean", "variance")),
        *((name, ctypes.c_int64) for name in ("inputs", "outputs", "in_channels", "out_channels")),
        *((name, ctypes.c_double) for name in ("eps", "levels")),
        *((name, ctypes.c_void_p) for name in ("running_mean", "running_variance", "batches")),
        ("momentum", ctypes.c_double),
        ("shortcut", ctypes.c_void_p),
    )


class RunningStatistics(NamedTuple):
    """Of all batches so far; a forward pass of a :class:`Unit` moves them in place towards those of its own.

    Attributes:
        mean: (C,) of the features' type.
        variance: (C,), the unbiased one.
        batches: () int64, their number.
        momentum: share of a new batch; ``None`` for the mean over all.
    """

    mean: Tensor
    variance: Tensor
    batches: Tensor
    momentum: float | None

    def addresses(self, like: Tensor) -> tuple[int, int, int, float]:
        """As the library takes them; autograd is told that they change."""
        mean, variance, batches, momentum = self
        torch.autograd.graph.increment_version((mean, variance, batches))
        return (
            _address_of_channels(mean, like, "mean"),
            _address_of_channels(variance, like, "variance"),
            native.address(batches, torch.int64, "batches"),
            -1.0 if momentum is None else momentum,
        )


class Unit(NamedTuple):
    """Neuron, convolution and normalisation: ``(conv(fire(membrane)) - mean) / sqrt(variance + eps) * scale + bias``.

    Attributes:
        kernel_map: matches; gone through from its outputs to its inputs where ``transposed``.
        transposed: see above.
        eps: of the normalisation.
        levels: of the neuron; 0 for none.
        running: statistics that a forward pass brings up to date; ``None`` for none.
    """

    kernel_map: native.NativeMap
    transposed: bool
    eps: float
    levels: int
    running: RunningStatistics | None = None

    def forward(
        self, membrane: Tensor, weight: Tensor, scale: Tensor, bias: Tensor, shortcut: Tensor | None = None
    ) -> tuple[Tensor, "UnitTensors"]:
        """The result (M, C_out), and all that its gradient needs.

        Args:
            membrane: (N, C_in) float32 or float64, N from 1.
            weight: (K, C_in, C_out) of the convolution.
            scale: (C_out,) of the normalisation.
            bias: (C_out,) of the normalisation.
            shortcut: (M, C_out), added to the result.

        Raises:
            TypeError: shapes, types or strides that do not fit.
            BackendError: other rows than the kernel map's.
        """
        if weight.ndim != 3 or weight.shape[:2] != (self.kernel_map.volume, membrane.shape[1]):
            raise TypeError(
                f"weight must have shape ({self.kernel_map.volume}, {membrane.shape[1]}, C_out), got {tuple(weight.shape)}."
            )
        rows = self.kernel_map.inputs if self.transposed else self.kernel_map.outputs
        sums = membrane.new_empty(rows, weight.shape[2])
        spikes = torch.empty_like(membrane) if self.levels else membrane
        of_sums = torch.empty(2, weight.shape[2], dtype=torch.float64).unbind()
        tensors = UnitTensors(membrane, weight, scale, spikes, sums, *of_sums)
        result = torch.empty_like(sums)
        running = (None, None, None, 0.0) if self.running is None else self.running.addresses(sums)
        added = None if shortcut is None else _address_of_rows(shortcut, sums, "shortcut")
        bias_address = _address_of_channels(bias, sums, "bias")
        self._run("forward", tensors, (*running, added), bias_address, result.data_ptr())
        return result, tensors

    def backward(
        self, grad: Tensor, tensors: "UnitTensors", *, of_membrane: bool, of_weight: bool
    ) -> tuple[Tensor | None, Tensor | None, Tensor, Tensor]:
        """Gradients of membrane and weight, where asked for, of scale and of bias."""
        membrane, weight, scale, _, sums, _, _ = tensors
        found = [
            torch.empty_like(x) if wanted else None for x, wanted in ((membrane, of_membrane), (weight, of_weight))
        ]
        of_sums, of_scale, of_bias = (torch.empty_like(x) for x in (sums, scale, scale))
        addresses = (None if x is None else x.data_ptr() for x in (of_sums, *found, of_scale, of_bias))
        self._run("backward", tensors, (), _address_of_rows(grad, sums, "grad"), *addresses)
        return found[0], found[1], of_scale, of_bias

    def _run(self, name: str, tensors: "UnitTensors", forward_only: tuple[object, ...], *arguments: object) -> None:
        membrane, weight, scale, spikes, sums, mean, variance = tensors
        structure = _UnitStructure(
            native.address(membrane, membrane.dtype, "membrane"),
            native.address(weight, membrane.dtype, "weight"),
            _address_of_channels(scale, sums, "scale"),
            *(x.data_ptr() for x in (spikes, sums, mean, variance)),
            *(len(membrane), len(sums), membrane.shape[1], sums.shape[1], self.eps, self.levels),
            *forward_only,
        )
        call = (f"unit_{name}", membrane, self.kernel_map.handle, self.transposed, ctypes.byref(structure))
        _call(*call, *arguments, torch.get_num_threads())


class UnitTensors(NamedTuple):
    """What a unit's gradient needs.

    Attributes:
        membrane: (N, C_in).
        weight: (K, C_in, C_out).
        scale: (C_out,).
        spikes: (N, C_in); the membrane itself where there is no neuron.
        sums: (M, C_out), what the convolution gave.
        mean: (C_out,) float64, of the sums.
        variance: (C_out,) float64, of the sums, the biased one.
    """

    membrane: Tensor
    weight: Tensor
    scale: Tensor
    spikes: Tensor
    sums: Tensor
    mean: Tensor
    variance: Tensor
