import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikevox.encoding import PointCloudError, VoxelGrid, voxelize


def test_shape_is_exact_where_floats_truncate():
    assert int((100.8 + 100.8) / 0.2) == 1007
    assert VoxelGrid(0.2, lower=-100.8, upper=100.8).shape == (1008, 1008, 1008)


def test_published_grids_have_their_shapes():
    kitti = VoxelGrid((0.05, 0.05, 0.1), lower=(0, -40, -3), upper=(70.4, 40, 1))
    nuscenes = VoxelGrid((0.075, 0.075, 0.2), lower=(-54, -54, -5), upper=(54, 54, 3))
    assert kitti.shape == (1408, 1600, 40)
    assert nuscenes.shape == (1440, 1440, 40)


@given(st.integers(1, 5000), st.integers(1, 400))
def test_a_whole_number_of_voxels_has_no_remainder(cells, hundredths):
    size = hundredths / 100
    grid = VoxelGrid(size, lower=0, upper=float(f"{cells * hundredths / 100:.2f}"))
    assert grid.shape == (cells,) * 3
    assert grid.remainder == (0.0, 0.0, 0.0)


def test_a_part_of_a_voxel_is_counted_and_stated():
    grid = VoxelGrid(0.4, lower=0, upper=1)
    assert grid.shape == (3, 3, 3)
    assert grid.remainder == (0.5, 0.5, 0.5)


def test_float32_sizes_mean_their_decimal_text():
    assert VoxelGrid(np.float32(0.2), lower=-100.8, upper=100.8).shape == (1008,) * 3


@pytest.mark.parametrize("size", [0, -0.1, float("nan"), float("inf"), (0.1, 0.1, 0)])
def test_a_voxel_size_that_is_not_positive_is_refused(size):
    with pytest.raises(PointCloudError, match="voxel_size must be positive and finite"):
        VoxelGrid(size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lower": 0}, "give both or none"),
        ({"lower": 1, "upper": 1}, "the range is empty"),
        ({"lower": (0, 0), "upper": 1}, "lower must be one number or three"),
        ({"origin": "centre"}, "origin must be"),
    ],
)
def test_invalid_ranges_say_what_is_expected(options, message):
    with pytest.raises(PointCloudError, match=message):
        VoxelGrid(0.1, **options)


def test_no_point_inside_the_range_leaves_the_grid():
    upper = 70.4
    points = np.full((1, 3), np.nextafter(upper, 0))
    voxels = voxelize(points, VoxelGrid(0.05, lower=0, upper=upper))
    assert voxels.coordinates.tolist() == [[1407] * 3]
    assert voxels.report.out_of_range == 0
