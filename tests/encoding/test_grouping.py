import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikevox.encoding.grouping import group_rows


def extents(*bits):
    """Coordinates (400, len(bits)) that span exactly these bits, ends included, with many equal rows."""
    generator = np.random.default_rng(sum(bits))
    columns = [generator.integers(0, min(3, 2**b), 400) * ((2**b - 1) // max(1, min(2, 2**b - 1))) for b in bits]
    table = np.stack(columns, axis=1)
    table[0], table[1] = 0, [2**b - 1 for b in bits]
    return table


def check(coordinates):
    groups = group_rows(coordinates)
    unique, first, inverse = np.unique(coordinates, axis=0, return_index=True, return_inverse=True)
    assert np.array_equal(coordinates[groups.rows[groups.starts]], unique)
    assert np.array_equal(groups.rows[groups.starts], first)
    members = np.empty(len(coordinates), dtype=np.int64)
    members[groups.rows] = groups.members
    assert np.array_equal(members, inverse.reshape(-1))
    assert np.array_equal(groups.sizes, np.bincount(inverse.reshape(-1)))
    inside = groups.rows[1:] > groups.rows[:-1]
    assert inside[groups.members[1:] == groups.members[:-1]].all()


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize(
    "bits", [(0, 0, 0), (1, 1, 1), (10, 11, 10), (10, 11, 11), (30, 1, 0), (30, 30, 2), (30, 30, 3), (31, 31, 31)]
)
def test_groups_equal_unique_whatever_the_keys_need(bits, dtype):
    """Up to 31 bits the keys are int32, up to 62 int64; beyond, the columns are sorted one by one."""
    coordinates = extents(*bits)
    check(coordinates.astype(dtype))
    if max(bits) < 31:
        check((coordinates - 2**29).astype(dtype))


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 4))
def test_groups_equal_unique_on_random_rows(seed, count, width):
    check(np.random.default_rng(seed).integers(-2, 3, (count, width)).astype(np.int32))
