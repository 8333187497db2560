import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikevox.encoding import CoordinateRangeError
from spikevox.layers import SparseTensor, SparseTensorError, concatenate, union

ONE = torch.tensor([[0, 1, 2, 3]])


def make(rows, features=None, **options):
    coordinates = torch.tensor(rows).reshape(-1, 4)
    values = torch.arange(len(coordinates), dtype=torch.float32)[:, None] if features is None else features
    return SparseTensor(values, coordinates, **options)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), *[st.integers(-4, 4)] * 3), min_size=1, max_size=30, unique=True))
def test_rows_are_sorted_and_lead_back(rows):
    x = make(rows, batch_size=3)
    assert [tuple(c) for c in x.coordinates.tolist()] == sorted(rows)
    assert x.features_in_input_order()[:, 0].tolist() == list(range(len(rows)))


def test_gaps_in_the_batch_are_empty_samples():
    x = make([[3, 0, 0, 0], [1, 0, 0, 0]], batch_size=5)
    assert x.batch_size == 5
    assert x.batch_index.tolist() == [1, 3]
    assert x.empty_samples.tolist() == [True, False, True, False, True]


def test_sample_indices_outside_name_their_rows():
    with pytest.raises(
        SparseTensorError, match=re.escape("2 of 3 sample indices in column 0 lie outside [0, 2)")
    ) as error:
        make([[0, 0, 0, 9], [-1, 0, 0, 9], [2, 0, 0, 9]], batch_size=2)
    assert error.value.rows == (1, 2)
    assert "last column" not in str(error.value)


def test_samples_in_the_last_column_are_recognised():
    rows = [[7, 3, 4, 0], [9, 9, 9, 1]]
    with pytest.raises(SparseTensorError, match="pass batch_column=-1"):
        make(rows, batch_size=2)
    x = make(rows, batch_size=2, batch_column=-1)
    assert x.coordinates.tolist() == [[0, 7, 3, 4], [1, 9, 9, 9]]


def test_duplicates_are_refused_with_rows_or_merged_as_declared():
    rows = [[0, 1, 1, 1], [0, 0, 0, 0], [0, 1, 1, 1]]
    values = torch.tensor([[1.0], [5.0], [3.0]])
    with pytest.raises(SparseTensorError, match="1 of 3 rows repeat the coordinates of another") as error:
        make(rows, values, batch_size=1)
    assert error.value.rows == (0, 2)
    for mode, expected in {"sum": 4.0, "mean": 2.0, "max": 3.0, "first": 1.0}.items():
        x = make(rows, values, batch_size=1, on_duplicate=mode)
        assert x.features[:, 0].tolist() == [5.0, expected]
        assert x.input_rows.tolist() == [1, 0, 1]
    with pytest.raises(SparseTensorError, match="on_duplicate must be"):
        make(rows, values, batch_size=1, on_duplicate="any")


def test_merging_duplicates_passes_gradients_on():
    values = torch.tensor([[1.0], [3.0]], requires_grad=True)
    make([[0, 1, 1, 1]] * 2, values, batch_size=1, on_duplicate="mean").features.sum().backward()
    assert values.grad.tolist() == [[0.5], [0.5]]


def test_nan_features_name_their_rows():
    values = torch.zeros(4, 2)
    values[2, 1] = float("nan")
    with pytest.raises(SparseTensorError, match="1 of 4 rows of features hold NaN or infinite values") as error:
        make([[0, i, 0, 0] for i in range(4)], values)
    assert error.value.rows == (2,)


def test_coordinates_beyond_the_limit_are_refused():
    with pytest.raises(CoordinateRangeError, match="1 of 2 coordinates lie beyond 1073741824") as error:
        make([[0, 0, 0, 0], [0, 2**32 + 7, 0, 0]])
    assert error.value.rows == (1,)
    with pytest.raises(CoordinateRangeError, match="most 62 can be addressed"):
        make([[0, -(2**30), -(2**30), -(2**30)], [0, 2**30, 2**30, 2**30]])


def test_coordinates_off_the_tensor_stride_are_refused():
    with pytest.raises(SparseTensorError, match=r"1 of 2 coordinates are no multiples of tensor_stride \(2, 2, 1\)"):
        make([[0, 2, 4, 1], [0, 2, 3, 1]], tensor_stride=(2, 2, 1))


@pytest.mark.parametrize(
    ("features", "coordinates", "error", "message"),
    [
        (torch.ones(2, 3), ONE, SparseTensorError, r"coordinates \(1, 4\) and features \(2, 3\)"),
        (torch.ones(1, 3), ONE[:, :3], SparseTensorError, r"coordinates \(1, 3\)"),
        (torch.ones(1), ONE, SparseTensorError, r"features must have shape \(N, C\), got \(1,\)"),
        (torch.ones(2, 1, 3), ONE, SparseTensorError, "pass time_steps=T"),
        (torch.ones(1, 3, dtype=torch.int32), ONE, TypeError, "floating torch tensor, got torch.int32"),
        (torch.ones(1, 3), ONE.float(), TypeError, r"whole numbers, got torch\.float32\. .*voxelize"),
        ([[1.0]], ONE, TypeError, "got list"),
        (torch.ones(1, 3), [[0, 1, 2, 3]], TypeError, "got list"),
        (torch.ones(0, 3), ONE[:0], SparseTensorError, "needs batch_size="),
    ],
)
def test_shapes_and_types_are_checked_at_the_border(features, coordinates, error, message):
    with pytest.raises(error, match=message):
        SparseTensor(features, coordinates)


def test_declared_time_steps_must_fit():
    with pytest.raises(SparseTensorError, match=r"shape \(4, N, C\) for time_steps=4, got \(2, 1, 3\)"):
        SparseTensor(torch.ones(2, 1, 3), ONE, time_steps=4)
    with pytest.raises(SparseTensorError, match=r"step\(t\) needs"):
        SparseTensor(torch.ones(1, 3), ONE).step(0)


@pytest.mark.minkowski
def test_half_precision_says_what_works():
    with pytest.raises(TypeError, match=r"takes float32 and float64 on the CPU, got torch\.float16"):
        SparseTensor(torch.ones(1, 3, dtype=torch.float16), ONE, backend="minkowski")
    x = SparseTensor(torch.ones(1, 3, dtype=torch.float16), ONE, backend="torch_ops")
    assert x.features.dtype == torch.float16


def test_addition_needs_the_same_sites():
    x, y = make([[0, 0, 0, 0]], batch_size=1), make([[0, 0, 0, 1]], batch_size=1)
    with pytest.raises(SparseTensorError, match="Rows are never matched by position"):
        x + y
    with pytest.raises(SparseTensorError, match="different sites"):
        concatenate(x, y)
    assert (x + x.replace(x.features + 2)).features.tolist() == [[2.0]]
    assert concatenate(x, x).features.shape == (1, 2)


def test_a_union_adds_where_sites_meet():
    x = make([[0, 0, 0, 0], [0, 1, 0, 0]], torch.tensor([[1.0], [2.0]]), batch_size=1)
    y = make([[0, 1, 0, 0], [0, 2, 0, 0]], torch.tensor([[10.0], [20.0]]), batch_size=1)
    both = union(x, y)
    assert both.coordinates[:, 1].tolist() == [0, 1, 2]
    assert both.features[:, 0].tolist() == [1.0, 12.0, 20.0]
    with pytest.raises(SparseTensorError, match="a union needs equal batch sizes"):
        union(x, make([[0, 0, 0, 0]], batch_size=2))


def test_maps_are_never_shared_by_unlike_coordinates():
    """A cache under a name, as in other libraries, can be met with other coordinates; sites are keys here."""
    from spikevox.layers import SubmanifoldConv3d

    conv = SubmanifoldConv3d(1, 1, kernel_size=3)
    torch.nn.init.ones_(conv.weight)
    near = make([[0, 0, 0, 0], [0, 1, 0, 0]], torch.ones(2, 1), batch_size=1)
    far = make([[0, 0, 0, 0], [0, 5, 0, 0]], torch.ones(2, 1), batch_size=1)
    assert conv(near).features[:, 0].tolist() == [2.0, 2.0]
    assert conv(far).features[:, 0].tolist() == [1.0, 1.0]


def test_dense_and_repr():
    x = make([[0, 2, 0, 0], [1, 0, 0, 4]], tensor_stride=2, batch_size=2)
    dense = x.dense()
    assert dense.shape == (2, 1, 2, 1, 3)
    assert dense[1, 0, 0, 0, 2] == 1
    assert "2 sites, 1 channels, batch_size=2, tensor_stride=(2, 2, 2)" in repr(x)
    with pytest.raises(SparseTensorError, match="sites leave the box"):
        x.dense(shape=(1, 1, 1))
