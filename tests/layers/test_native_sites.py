"""Bounds and order of sites in the compiled library, against numpy, to the ends of int32."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikevox.layers import SparseTensor, native_sites
from spikevox.layers.backends.site_table import Box, bounding_box

pytestmark = pytest.mark.compiled
# Few different numbers, both ends among them: rows that differ late and rows that repeat are frequent.
NUMBERS = st.sampled_from([-(2**31), -(2**31) + 1, -1, 0, 1, 2**31 - 2, 2**31 - 1])
ROWS = hnp.arrays(np.int32, st.tuples(st.integers(0, 12), st.just(4)), elements=NUMBERS)


def first_disorder(rows):
    sites = [tuple(row) for row in rows.tolist()]
    return next((i for i in range(1, len(sites)) if sites[i - 1] >= sites[i]), None)


@given(ROWS)
def test_order_is_that_of_tuples(rows):
    assert native_sites.ascend(torch.from_numpy(rows)) == (first_disorder(rows) is None)


@given(ROWS)
def test_sorted_unique_rows_ascend_and_no_exchange_of_two_does(rows):
    rows = np.unique(rows, axis=0)
    assert native_sites.ascend(torch.from_numpy(rows))
    for i in range(len(rows) - 1):
        swapped = rows.copy()
        swapped[[i, i + 1]] = swapped[[i + 1, i]]
        assert not native_sites.ascend(torch.from_numpy(swapped))


@given(ROWS.filter(len))
def test_bounds_are_those_of_numpy(rows):
    expected = Box(tuple(rows.min(axis=0).tolist()), tuple(rows.max(axis=0).tolist()))
    assert Box(*native_sites.bounds(torch.from_numpy(rows))) == expected
    assert bounding_box(torch.from_numpy(rows)) == bounding_box(torch.from_numpy(rows.astype(np.int64))) == expected


def test_no_site_has_the_box_of_the_origin():
    none = torch.empty(0, 4, dtype=torch.int32)
    assert native_sites.bounds(none) == ((0,) * 4, (0,) * 4)
    assert native_sites.ascend(none)


def test_other_arrays_are_refused():
    with pytest.raises(TypeError, match=r"sites must have shape \(N, 4\), got \(2, 3\)"):
        native_sites.bounds(torch.zeros(2, 3, dtype=torch.int32))
    with pytest.raises(TypeError, match=r"sites must be a contiguous torch\.int32"):
        native_sites.ascend(torch.zeros(2, 4))
    strided = torch.zeros(4, 8, dtype=torch.int32)[:, ::2]
    assert not native_sites.reads_sites(strided)


@pytest.mark.parametrize("backend", ["compiled", "torch_ops"])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_a_tensor_keeps_its_sites_when_the_callers_change(backend, dtype):
    rows = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 4]], dtype=dtype)
    tensor = SparseTensor(torch.ones(2, 1), rows, batch_size=1, backend=backend)
    rows.add_(7)
    assert tensor.coordinates.tolist() == [[0, 1, 2, 3], [0, 1, 2, 4]]
