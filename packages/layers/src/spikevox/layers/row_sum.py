"""Sums of rows with equal numbers, the same in every run on every device, without a value read to the host."""

import torch
from torch import Tensor


def row_counts(rows: Tensor, count: int) -> Tensor:
    """(count,) int64, how often each row number occurs; ``bincount`` would read the largest one to the host."""
    return rows.new_zeros(count).scatter_add_(0, rows, torch.ones_like(rows))


def row_sums(values: Tensor, rows: Tensor, count: int) -> Tensor:
    """Sums (..., count, C) of the values (..., N, C) with equal row numbers (N,)."""
    if values.device.type == "cpu":
        shape = (*values.shape[:-2], count, values.shape[-1])
        return values.new_zeros(shape).index_add(-2, rows, values)
    return sorted_row_sums(values, rows, count)


def sorted_row_sums(values: Tensor, rows: Tensor, count: int) -> Tensor:
    """:func:`row_sums` for a GPU, where ``index_add`` has the rows of one sum race for it: ``index_put`` sorts first."""
    by_row = values.movedim(-2, 0)
    sums = by_row.new_zeros(count, *by_row.shape[1:]).index_put((rows,), by_row, accumulate=True)
    return sums.movedim(0, -2)


def rows_of(values: Tensor, rows: Tensor) -> Tensor:
    """Rows (..., P, C) of the values (..., N, C), whose gradient is such a sum."""
    if values.device.type == "cpu":
        return values.index_select(-2, rows)
    return values[..., rows, :]
