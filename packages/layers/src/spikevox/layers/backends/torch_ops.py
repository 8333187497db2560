"""Sparse convolution in plain torch: any device, no compiler, the same result on every run.

On a GPU the host queues work and goes on; it waits only where it reads a value, and sizes that follow from the data have to
be read. For each batch these are read, and nothing else:

- when a sparse tensor is made: three values (features finite, box of the coordinates, rows in order), a fourth where
  the rows come in another order (duplicates), one more at a tensor stride above 1;
- for each set of sites that is derived: their number, and before it that of the candidates where kernels overlap or an
  ``extent`` cuts; to tell two sets of one tensor stride apart, whether they are equal;
- for each kernel map: the number of pairs of each kernel offset, all in one read.

Sites and kernel maps are made once a batch and shared by all layers. Convolutions over a map that is there, forward and
backward, read nothing and copy nothing to the device.

Results do not depend on the order in which a GPU adds: at one kernel offset each output row occurs once, and offsets
follow one another.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from spikevox.layers.autocast import accumulation_type, is_mixed, product_type, result_type
from spikevox.layers.backends.geometry import KernelGeometry, Triple
from spikevox.layers.backends.site_table import Box, SiteTable


class TorchKernelMap:
    """Matches of input and output sites, ordered by kernel offset and output row.

    Args:
        rows: (K, N_out) int64: for each kernel offset and output, the input's row, -1 where there is none.
        inputs: number of input sites.

    Attributes:
        offset: (P,) int64, the kernel offset of each match.
        in_row: (P,) int64.
        out_row: (P,) int64.
        pairs: ``in_row`` and ``out_row`` of each of the K kernel offsets.
        inputs: number of input sites.
        outputs: number of output sites.
    """

    def __init__(self, rows: Tensor, inputs: int) -> None:
        found = rows >= 0
        # The one read: with these numbers the host knows where each offset's pairs begin.
        counts = found.sum(dim=1).tolist()
        self.offset, self.out_row = torch.nonzero_static(found, size=sum(counts)).unbind(1)
        self.in_row = rows[self.offset, self.out_row]
        self.out_row = self.out_row.contiguous()
        self.pairs = list(zip(self.in_row.split(counts), self.out_row.split(counts), strict=True))
        self.inputs = inputs
        self.outputs = rows.shape[1]


class TorchEngine:
    """Kernel maps by binary search; one gather, product and scatter-add a kernel offset."""

    name = "torch_ops"

    def insert(self, coordinates: Tensor, tensor_stride: Triple, box: Box | None = None) -> tuple[SiteTable, Triple]:
        """Takes in a set of sites (N, 4) and returns the engine's handle for it."""
        return SiteTable(coordinates, box), tensor_stride

    def kernel_map(
        self, inputs: tuple[SiteTable, Triple], outputs: tuple[SiteTable, Triple], geometry: KernelGeometry
    ) -> TorchKernelMap:
        """Matches the sites of two sets under a kernel geometry."""
        table, tensor_stride = inputs
        centres = outputs[0].coordinates
        rows = table.rows(_wanted_inputs(centres, tensor_stride, geometry))
        return TorchKernelMap(rows.reshape(geometry.volume, len(centres)), len(table.coordinates))

    def convolve(
        self, features: Tensor, weight: Tensor, kernel_map: TorchKernelMap, *, transposed: bool = False
    ) -> Tensor:
        """Features (N_out, C_out) from features (N_in, C_in) and weight (K, C_in, C_out).

        Inside ``torch.autocast`` factors are rounded to its type, sums and the result are float32.
        """
        return _GatherMatmulScatter.apply(features, weight, kernel_map, transposed)

    def pairs(self, kernel_map: TorchKernelMap) -> tuple[Tensor, Tensor, Tensor]:
        """Plain int64 arrays (offset, in_row, out_row), one entry a match, ordered by offset."""
        return kernel_map.offset, kernel_map.in_row, kernel_map.out_row

    def check(self, features: Tensor) -> None:
        """Takes every floating type that torch multiplies."""


def _wanted_inputs(centres: Tensor, tensor_stride: Triple, geometry: KernelGeometry) -> list[Tensor]:
    """Columns that broadcast to (k_z, k_y, k_x, N_out): the input coordinate under each kernel offset."""
    # An output coordinate is o * stride * tensor_stride, so o * stride input steps lie at it already.
    sample, *spatial = centres.to(torch.int64).unbind(1)
    columns = [sample]
    axes = zip(geometry.kernel_size, geometry.padding, geometry.dilation, tensor_stride, strict=True)
    for axis, (kernel, padding, dilation, scale) in enumerate(axes):
        # Counted up on the device: a list of numbers would have to be copied there.
        steps = (torch.arange(kernel, device=centres.device) * dilation - padding) * scale
        shape = [1, 1, 1, 1]
        shape[2 - axis] = kernel
        columns.append(steps.view(shape) + spatial[axis])
    return columns


class _GatherMatmulScatter(torch.autograd.Function):
    """Keeps the input and the rows, not the gathered copies that plain autograd would hold for each offset."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, kernel_map: TorchKernelMap, transposed: bool) -> Tensor:
        kind = product_type(features)
        ctx.types = features.dtype, weight.dtype
        rows = kernel_map.inputs if transposed else kernel_map.outputs
        ctx.pairs = [pair[::-1] for pair in kernel_map.pairs] if transposed else kernel_map.pairs
        # In the type of the products, which under autocast takes half the memory until the backward pass.
        factors, kernels = features.to(kind), weight.to(kind) if is_mixed(features) else weight
        ctx.save_for_backward(factors, kernels)
        result = factors.new_zeros(rows, weight.shape[2], dtype=accumulation_type(factors))
        for kernel, (inputs, outputs) in zip(kernels, ctx.pairs, strict=True):
            if len(inputs):
                result.index_add_(0, outputs, (factors[inputs] @ kernel).to(result.dtype))
        return result.to(result_type(features))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        features, weight = ctx.saved_tensors
        needs_features, needs_weight, *_ = ctx.needs_input_grad
        grad = grad.to(features.dtype)
        grad_features = grad_weight = None
        if needs_features:
            grad_features = torch.zeros_like(features, dtype=accumulation_type(features))
        if needs_weight:
            grad_weight = torch.zeros_like(weight)
        for k, (inputs, outputs) in enumerate(ctx.pairs):
            if len(inputs) == 0:
                continue
            rows = grad[outputs]
            if grad_features is not None:
                grad_features.index_add_(0, inputs, (rows @ weight[k].T).to(grad_features.dtype))
            if grad_weight is not None:
                torch.mm(features[inputs].T, rows, out=grad_weight[k])
        return _to(grad_features, ctx.types[0]), _to(grad_weight, ctx.types[1]), None, None


def _to(grad: Tensor | None, kind: torch.dtype) -> Tensor | None:
    return None if grad is None else grad.to(kind)
