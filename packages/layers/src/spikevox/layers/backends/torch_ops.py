"""Sparse convolution in plain torch: any device, no compiler, the same result on every run on a CPU."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikevox.layers.backends.geometry import KernelGeometry, Triple
from spikevox.layers.backends.site_table import SiteTable


class TorchKernelMap(NamedTuple):
    """Matches of input and output sites.

    Attributes:
        pairs: for each of the K kernel offsets, the input rows and the output rows that it joins.
        inputs: number of input sites.
        outputs: number of output sites.
    """

    pairs: list[tuple[Tensor, Tensor]]
    inputs: int
    outputs: int


class TorchEngine:
    """Kernel maps by binary search; one gather, product and scatter-add a kernel offset."""

    name = "torch_ops"

    def insert(self, coordinates: Tensor, tensor_stride: Triple) -> tuple[SiteTable, Triple]:
        """Takes in a set of sites (N, 4) and returns the engine's handle for it."""
        return SiteTable(coordinates), tensor_stride

    def kernel_map(
        self, inputs: tuple[SiteTable, Triple], outputs: tuple[SiteTable, Triple], geometry: KernelGeometry
    ) -> TorchKernelMap:
        """Matches the sites of two sets under a kernel geometry."""
        table, tensor_stride = inputs
        # An output coordinate is o * stride * tensor_stride, so o * stride input steps lie at it already.
        centres = outputs[0].coordinates.to(torch.int64)
        pairs = []
        for offset in geometry.offsets:
            step = [0, *(o * s for o, s in zip(offset, tensor_stride, strict=True))]
            out_rows, in_rows = table.find(centres + torch.tensor(step, device=centres.device))
            pairs.append((in_rows, out_rows))
        return TorchKernelMap(pairs, len(table.coordinates), len(centres))

    def convolve(
        self, features: Tensor, weight: Tensor, kernel_map: TorchKernelMap, *, transposed: bool = False
    ) -> Tensor:
        """Features (N_out, C_out) from features (N_in, C_in) and weight (K, C_in, C_out)."""
        if transposed:
            swapped = [(outputs, inputs) for inputs, outputs in kernel_map.pairs]
            kernel_map = TorchKernelMap(swapped, kernel_map.outputs, kernel_map.inputs)
        return _GatherMatmulScatter.apply(features, weight, kernel_map)

    def pairs(self, kernel_map: TorchKernelMap) -> tuple[Tensor, Tensor, Tensor]:
        """Plain int64 arrays (offset, in_row, out_row), one entry a match, ordered by offset."""
        offsets = [torch.full_like(rows, k) for k, (rows, _) in enumerate(kernel_map.pairs)]
        inputs, outputs = zip(*kernel_map.pairs, strict=True)
        return torch.cat(offsets), torch.cat(inputs), torch.cat(outputs)

    def check(self, features: Tensor) -> None:
        """Takes every floating type that torch multiplies."""


class _GatherMatmulScatter(torch.autograd.Function):
    """Keeps the input and the rows, not the gathered copies that plain autograd would hold for each offset."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, kernel_map: TorchKernelMap) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.kernel_map = kernel_map
        result = features.new_zeros(kernel_map.outputs, weight.shape[2])
        for kernel, (inputs, outputs) in zip(weight, kernel_map.pairs, strict=True):
            if len(inputs):
                result.index_add_(0, outputs, features[inputs] @ kernel)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        needs_features, needs_weight, _ = ctx.needs_input_grad
        grad_features = torch.zeros_like(features) if needs_features else None
        grad_weight = torch.zeros_like(weight) if needs_weight else None
        for k, (inputs, outputs) in enumerate(ctx.kernel_map.pairs):
            if len(inputs) == 0:
                continue
            rows = grad[outputs]
            if grad_features is not None:
                grad_features.index_add_(0, inputs, rows @ weight[k].T)
            if grad_weight is not None:
                torch.mm(features[inputs].T, rows, out=grad_weight[k])
        return grad_features, grad_weight, None
