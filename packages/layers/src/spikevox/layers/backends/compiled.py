"""Sparse convolution on our own kernels: spikes as events, deterministic for any number of threads, CPU only."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikevox.encoding.errors import CoordinateRangeError
from spikevox.layers import native
from spikevox.layers.backends.compiled_sites import strided_sites, striding
from spikevox.layers.backends.geometry import KernelGeometry, Triple
from spikevox.layers.backends.site_table import Box
from spikevox.layers.backends.torch_ops import TorchEngine
from spikevox.layers.native_sites import check_ascending


class _Sites(NamedTuple):
    coordinates: Tensor
    tensor_stride: Triple


class CompiledEngine:
    """Kernel maps by one walk along sorted sites; convolutions that skip values which are zero."""

    name = "compiled"

    def __init__(self) -> None:
        self._plain = TorchEngine()

    def insert(self, coordinates: Tensor, tensor_stride: Triple, box: Box | None = None) -> _Sites:
        """Takes in unique, ascending sites (N, 4) int32.

        Raises:
            BackendError: sites in another order: the library would read and write beyond its memory.
        """
        coordinates = coordinates.contiguous()
        check_ascending(coordinates)
        return _Sites(coordinates, tensor_stride)

    def strided(self, inputs: _Sites, geometry: KernelGeometry, *, floor: bool, extent: Triple | None) -> Tensor | None:
        """Ascending output sites of a convolution; ``None`` where the library cannot address them."""
        try:
            how = striding(geometry, inputs.tensor_stride, floor=floor, extent=extent)
            return strided_sites(inputs.coordinates, how)
        except CoordinateRangeError:
            return None

    def kernel_map(self, inputs: _Sites, outputs: _Sites, geometry: KernelGeometry) -> Any:
        """Matches the sites of two sets under a kernel geometry."""
        stride = inputs.tensor_stride
        x, y, z = (-p * s for p, s in zip(geometry.padding, stride, strict=True))
        dx, dy, dz = (d * s for d, s in zip(geometry.dilation, stride, strict=True))
        try:
            # Sets of sites ascend: insert takes in no others.
            return native.NativeMap(
                inputs.coordinates, outputs.coordinates, geometry.kernel_size, (x, y, z), (dx, dy, dz), trusted=True
            )
        except CoordinateRangeError:
            # The library needs some room around the sites; without any, the plainer engine may still address them.
            return self._plain.kernel_map(
                self._plain.insert(inputs.coordinates, inputs.tensor_stride),
                self._plain.insert(outputs.coordinates, outputs.tensor_stride),
                geometry,
            )

    def convolve(self, features: Tensor, weight: Tensor, kernel_map: Any, *, transposed: bool = False) -> Tensor:
        """Features (N_out, C_out) from features (N_in, C_in) and weight (K, C_in, C_out)."""
        if not isinstance(kernel_map, native.NativeMap):
            return self._plain.convolve(features, weight, kernel_map, transposed=transposed)
        return _EventConvolution.apply(features, weight, kernel_map, transposed)

    def pairs(self, kernel_map: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Plain int64 arrays (offset, in_row, out_row), one entry a match, ordered by offset."""
        return kernel_map.pairs() if isinstance(kernel_map, native.NativeMap) else self._plain.pairs(kernel_map)

    def check(self, features: Tensor) -> None:
        """Takes float32 and float64 on the CPU; anything else raises TypeError."""
        if features.device.type != "cpu" or features.dtype not in (torch.float32, torch.float64):
            raise TypeError(
                f"the backend 'compiled' takes float32 and float64 on the CPU, got {features.dtype} on "
                f"{features.device}. Convert the features, or use the backend 'torch_ops'."
            )


class _EventConvolution(torch.autograd.Function):
    """The input's events serve the forward pass and the gradient of the weight."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, kernel_map: native.NativeMap, transposed: bool) -> Tensor:
        features, weight = features.detach().contiguous(), weight.detach().contiguous()
        events = native.NativeEvents(features)
        ctx.save_for_backward(features, weight)
        ctx.events, ctx.kernel_map, ctx.transposed = events, kernel_map, transposed
        return native.convolve(features, events, weight, kernel_map, transposed=transposed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        features, weight = ctx.saved_tensors
        grad = grad.contiguous()
        grad_features = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_features = native.convolve(
                grad, None, weight, ctx.kernel_map, transposed=not ctx.transposed, turned=True
            )
        if ctx.needs_input_grad[1]:
            grad_weight = native.weight_gradient(features, ctx.events, grad, ctx.kernel_map, transposed=ctx.transposed)
        return grad_features, grad_weight, None, None
