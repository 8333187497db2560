"""Sums by row number: the form for a GPU equals the one for the CPU."""

import pytest
import torch

from oracles.host_reads import HostReads
from spikevox.layers.row_sum import row_counts, row_sums, sorted_row_sums


def values_and_rows(shape):
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    rows = torch.randint(0, 5, (shape[-2],), generator=torch.Generator().manual_seed(1))
    return values, rows


@pytest.mark.parametrize("shape", [(40, 3), (2, 40, 3), (0, 3)])
@pytest.mark.parametrize("sums", [row_sums, sorted_row_sums])
def test_sums_and_gradients_are_those_of_a_loop(sums, shape):
    values, rows = values_and_rows(shape)
    with HostReads() as reads:
        found = sums(values, rows, 7)
    assert reads == []
    expected = torch.stack([values[..., rows == r, :].sum(dim=-2) for r in range(7)], dim=-2)
    assert torch.allclose(found, expected, atol=1e-12)
    upper = torch.randn_like(found)
    for one, other in zip(*(torch.autograd.grad(s, values, upper) for s in (found, expected)), strict=True):
        assert torch.equal(one, other)


def test_counts_are_those_of_bincount_without_a_read():
    _, rows = values_and_rows((40, 3))
    with HostReads() as reads:
        counts = row_counts(rows, 7)
    assert reads == []
    assert torch.equal(counts, torch.bincount(rows, minlength=7))
