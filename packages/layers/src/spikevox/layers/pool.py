"""Pooling: over a kernel's sites, or over all sites of a sample.

Inside ``torch.autocast`` pools are float32.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from spikevox.layers.autocast import full_precision
from spikevox.layers.backends.geometry import KernelGeometry, default_padding, triple
from spikevox.layers.row_sum import row_counts, row_sums, rows_of
from spikevox.layers.sparse_tensor import SparseTensor, adopt


class LocalPool3d(nn.Module):
    """Base of pools over a kernel's sites."""

    def __init__(
        self, kernel_size: int | Sequence[int], *, stride: int | Sequence[int] | None = None, padding: Any = None
    ) -> None:
        super().__init__()
        kernel = triple(kernel_size, "kernel_size")
        step = kernel if stride is None else triple(stride, "stride")
        # As in torch.nn, a pool that does not say otherwise steps by its kernel; then kernels tile the grid.
        border = (0, 0, 0) if step == kernel else default_padding(kernel, (1, 1, 1))
        border = border if padding is None else triple(padding, "padding", least=0)
        self.geometry = KernelGeometry(kernel, step, border, (1, 1, 1))

    def forward(self, x: Any) -> Any:
        """Pooled features on the output sites; only active sites take part."""
        tensor, foreign = adopt(x)
        outputs = tensor.maps.strided(tensor.sites, self.geometry)
        _, in_rows, out_rows = tensor.maps.pairs(tensor.sites, outputs, self.geometry)
        gathered = rows_of(full_precision(tensor.features), in_rows)
        features = self._reduce(gathered, out_rows, len(outputs))
        result = SparseTensor.on_sites(features, outputs, time_steps=tensor.time_steps)
        return result.to_minkowski() if foreign else result

    def _reduce(self, values: Tensor, rows: Tensor, count: int) -> Tensor:
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Kernel and stride."""
        return f"kernel_size={self.geometry.kernel_size}, stride={self.geometry.stride}"


class MaxPool3d(LocalPool3d):
    """Largest feature of each channel over the active sites under the kernel.

    Args:
        kernel_size: one number or (x, y, z).
        stride: by default the kernel size.
        padding: by default 0 where the stride is the kernel size, else ``k // 2`` for odd kernels.
    """

    def _reduce(self, values: Tensor, rows: Tensor, count: int) -> Tensor:
        return _maximum(values, rows, count)


class AveragePool3d(LocalPool3d):
    """Mean of each channel over the active sites under the kernel (absent sites do not count).

    Args:
        kernel_size: one number or (x, y, z).
        stride: by default the kernel size.
        padding: by default 0 where the stride is the kernel size, else ``k // 2`` for odd kernels.
    """

    def _reduce(self, values: Tensor, rows: Tensor, count: int) -> Tensor:
        return _mean(values, rows, count)


class GlobalPool(nn.Module):
    """Base of pools over all sites of a sample."""

    def forward(self, x: Any) -> Tensor:
        """(B, C), or (T, B, C); row b is sample b, and an empty sample's row is 0."""
        tensor, _ = adopt(x)
        return self._reduce(full_precision(tensor.features), tensor.batch_index, tensor.batch_size)

    def _reduce(self, values: Tensor, rows: Tensor, count: int) -> Tensor:
        raise NotImplementedError


class GlobalMeanPool(GlobalPool):
    """Mean over the sites of each sample: always ``batch_size`` rows, in batch order, 0 for an empty sample.

    ``x.empty_samples`` tells which rows those are.
    """

    def _reduce(self, values: Tensor, rows: Tensor, count: int) -> Tensor:
        return _mean(values, rows, count)


class GlobalSumPool(GlobalPool):
    """Sum over the sites of each sample: always ``batch_size`` rows, in batch order, 0 for an empty sample."""

    def _reduce(self, values: Tensor, rows: Tensor, count: int) -> Tensor:
        return row_sums(values, rows, count)


class GlobalMaxPool(GlobalPool):
    """Maximum over the sites of each sample: always ``batch_size`` rows, in batch order, 0 for an empty sample."""

    def _reduce(self, values: Tensor, rows: Tensor, count: int) -> Tensor:
        return _maximum(values, rows, count)


def _mean(values: Tensor, rows: Tensor, count: int) -> Tensor:
    sizes = row_counts(rows, count).clamp_(min=1)
    return row_sums(values, rows, count) / sizes[:, None].to(values.dtype)


def _maximum(values: Tensor, rows: Tensor, count: int) -> Tensor:
    shape = (*values.shape[:-2], count, values.shape[-1])
    index = rows[:, None].expand(values.shape)
    return values.new_zeros(shape).scatter_reduce(-2, index, values, "amax", include_self=False)
