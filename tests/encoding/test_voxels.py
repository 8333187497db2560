import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.voxel_dictionary import voxel_points
from spikevox.encoding import CoordinateRangeError, PointCloudError, VoxelGrid, voxelize

XYZI = ("x", "y", "z", "intensity")


def cloud(generator, count=500, extent=2.0):
    return generator.uniform(-extent, extent, (count, 4)).astype(np.float32)


def test_voxels_and_inverse_equal_a_dictionary(generator):
    points = cloud(generator)
    voxels = voxelize(points, VoxelGrid(0.5), columns=XYZI)
    expected = voxel_points(points, 0.5, (0, 0, 0))
    assert [tuple(c) for c in voxels.coordinates.tolist()] == list(expected)
    for voxel, rows in enumerate(expected.values()):
        assert (voxels.inverse[rows] == voxel).all()
        assert voxels.first_rows[voxel] == rows[0]


@pytest.mark.parametrize("reduce", ["first", "mean", "max"])
def test_features_equal_a_reduction_by_hand(generator, reduce):
    points = cloud(generator)
    voxels = voxelize(
        points, VoxelGrid(0.7), columns=XYZI, features=("xyz", "offset", "count", "intensity"), reduce=reduce
    )
    by_hand = {"first": lambda a: a[0], "mean": lambda a: a.mean(axis=0), "max": lambda a: a.max(axis=0)}[reduce]
    for row, (key, rows) in enumerate(voxel_points(points, 0.7, (0, 0, 0)).items()):
        inside = points[rows].astype(np.float64)
        offset = inside[:, :3] / 0.7 - np.array(key) - 0.5
        expected = np.concatenate([by_hand(inside[:, :3]), by_hand(offset), [len(rows)], by_hand(inside[:, 3:])])
        # float32 features of values up to 2: one unit in the last place.
        np.testing.assert_allclose(voxels.features[row], expected, atol=3e-7)
    assert voxels.feature_names == ("x", "y", "z", "offset_x", "offset_y", "offset_z", "count", "intensity")


def test_a_random_point_is_one_of_the_voxel_and_follows_the_seed(generator):
    points = cloud(generator)
    grid = VoxelGrid(1.0)
    draws = [
        voxelize(points, grid, columns=XYZI, reduce="random", generator=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(draws[0].features, draws[1].features)
    assert not np.array_equal(draws[0].features, draws[2].features)
    assert np.array_equal(draws[0].inverse[draws[0].first_rows], np.arange(len(draws[0])))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_point_is_accounted_for(data):
    count = data.draw(st.integers(0, 60))
    values = st.floats(-3, 3, width=32) | st.sampled_from([float("nan"), float("inf"), 1e4, -1e4])
    rows = st.lists(values, min_size=3, max_size=3)
    points = np.array(data.draw(st.lists(rows, min_size=count, max_size=count))).reshape(-1, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        voxels = voxelize(
            points,
            VoxelGrid(0.5, lower=-2, upper=2),
            on_invalid="drop",
            max_points=data.draw(st.none() | st.integers(1, 3)),
            max_voxels=data.draw(st.none() | st.integers(1, 5)),
            choice=data.draw(st.sampled_from(["first", "random", "most_points"])),
            generator=np.random.default_rng(0),
        )
    report = voxels.report
    assert report.adds_up
    assert report.points == count
    assert report.kept == len(voxels)
    assert (voxels.inverse >= 0).sum() == report.kept + report.merged
    assert report.invalid == (~np.isfinite(points).all(axis=1)).sum()


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("kitti/training/velodyne/000008.bin", 4),
        ("semantickitti/sequences/00/velodyne/000000.bin", 4),
        ("nuscenes/n015-2018-07-24-11-22-45+0800__LIDAR_TOP__1532402927647951.pcd.bin", 5),
        ("pandaset/002/00.npz", 3),
    ],
)
def test_real_scans_add_up_to_the_point(data, name, columns):
    path = data(name)
    if path.suffix == ".npz":
        points = np.load(path, allow_pickle=False)["xyz_cm"].astype(np.float32) / 100
    else:
        points = np.fromfile(path, np.float32).reshape(-1, columns)
    voxels = voxelize(points[:, :3], VoxelGrid(0.1, lower=(0, -40, -3), upper=(70.4, 40, 1)), source=name)
    assert voxels.report.adds_up
    assert voxels.report.points == len(points)
    inside = ((points[:, :3] >= (0, -40, -3)) & (points[:, :3].astype(np.float64) < (70.4, 40, 1))).all(axis=1)
    assert voxels.report.out_of_range == (~inside).sum()
    assert (voxels.inverse >= 0).sum() == inside.sum()
    assert len(np.unique(voxels.coordinates, axis=0)) == len(voxels)


def test_order_of_points_does_not_change_the_voxels(generator):
    points = cloud(generator)
    order = generator.permutation(len(points))
    one = voxelize(points, VoxelGrid(0.4), columns=XYZI, features=("count", "intensity"), reduce="max")
    other = voxelize(points[order], VoxelGrid(0.4), columns=XYZI, features=("count", "intensity"), reduce="max")
    assert np.array_equal(one.coordinates, other.coordinates)
    assert np.array_equal(one.features, other.features)
    assert np.array_equal(one.inverse[order], other.inverse)


def test_wide_coordinates_are_grouped_without_packing():
    far = 2.0**29
    points = np.array([[far, far, far], [-far, -far, -far], [far, far, far], [0, 0, 0]])
    voxels = voxelize(points, VoxelGrid(1.0))
    assert voxels.coordinates.tolist() == [[-(2**29)] * 3, [0] * 3, [2**29] * 3]
    assert voxels.inverse.tolist() == [2, 0, 2, 1]


def test_origin_minimum_counts_from_the_cloud(generator):
    points = cloud(generator)[:, :3] + 100
    voxels = voxelize(points, VoxelGrid(0.3, origin="minimum"))
    assert voxels.coordinates.min(axis=0).tolist() == [0, 0, 0]


def test_nan_coordinates_name_the_source_and_the_rows():
    points = np.zeros((6, 3), np.float32)
    points[[1, 4], 0] = np.nan
    with pytest.raises(PointCloudError, match=re.escape("000007.bin: 2 of 6 points")) as error:
        voxelize(points, VoxelGrid(1.0), source="000007.bin")
    assert error.value.rows == (1, 4)
    assert "on_invalid='drop'" in str(error.value)
    dropped = voxelize(points, VoxelGrid(1.0), on_invalid="drop")
    assert dropped.report.invalid == 2
    assert np.flatnonzero(dropped.inverse < 0).tolist() == [1, 4]


def test_infinite_features_are_told_from_coordinates():
    points = np.zeros((3, 4), np.float32)
    points[2, 3] = np.inf
    with pytest.raises(PointCloudError, match="1 of 3 points have NaN or infinite features"):
        voxelize(points, VoxelGrid(1.0), columns=XYZI)


def test_coordinates_beyond_int32_are_refused_with_rows():
    points = np.zeros((3, 3))
    points[1] = 2.0**33
    with pytest.raises(CoordinateRangeError, match="1 of 3 points lie more than 1073741824 voxels") as error:
        voxelize(points, VoxelGrid(1.0))
    assert error.value.rows == (1,)


def test_points_out_of_range_are_counted_and_limited(generator):
    points = cloud(generator)
    grid = VoxelGrid(0.5, lower=-1, upper=1)
    report = voxelize(points, grid, columns=XYZI).report
    assert report.out_of_range == (np.abs(points[:, :3]).max(axis=1) > 1).sum()
    with pytest.raises(PointCloudError, match=r"out of range and 0 over a cap, a share of .* max_lost allows 0\.1"):
        voxelize(points, grid, columns=XYZI, max_lost=0.1)


def test_a_cloud_wholly_out_of_range_is_empty_with_a_warning():
    with pytest.warns(UserWarning, match=r"scan 7: no voxel is left \(2 points = 0 kept .* 2 out of range"):
        voxels = voxelize(np.full((2, 3), 9.0), VoxelGrid(1.0, lower=0, upper=1), source="scan 7")
    assert voxels.features.shape == (0, 3)
    assert voxels.report.empty == 1


def test_an_empty_cloud_has_the_right_shapes():
    with pytest.warns(UserWarning, match="no voxel is left"):
        voxels = voxelize(np.zeros((0, 3)), VoxelGrid(1.0), features=("xyz", "offset", "count"), reduce="mean")
    assert voxels.coordinates.shape == (0, 3)
    assert voxels.features.shape == (0, 7)
    assert voxels.features.dtype == np.float32


@pytest.mark.parametrize(("choice", "kept"), [("first", [0, 1, 0]), ("most_points", [1, 0, 0])])
def test_the_voxel_cap_keeps_the_declared_voxel_and_warns(choice, kept):
    points = np.array([[0.5, 1.5, 0.5], [1.5, 0.5, 0.5], [1.6, 0.5, 0.5], [2.5, 0.5, 0.5]])
    with pytest.warns(UserWarning, match=r"of 4 points \(\d+\.\d%\) are over max_points or max_voxels"):
        voxels = voxelize(points, VoxelGrid(1.0), max_voxels=1, choice=choice)
    assert voxels.coordinates.tolist() == [kept]
    with pytest.raises(PointCloudError, match="over a cap, a share of"):
        voxels = voxelize(points, VoxelGrid(1.0), max_voxels=1, max_lost=0.2)


def test_the_point_cap_limits_what_is_averaged():
    points = np.array([[0.1, 0, 0], [0.3, 0, 0], [0.9, 0, 0]])
    with pytest.warns(UserWarning, match="1 of 3 points"):
        voxels = voxelize(points, VoxelGrid(1.0), max_points=2, reduce="mean", features=("xyz", "count"))
    np.testing.assert_allclose(voxels.features, [[0.2, 0, 0, 2]], atol=1e-7)
    assert (voxels.report.kept, voxels.report.merged, voxels.report.over_cap) == (1, 1, 1)


def test_labels_by_majority_with_conflicts_counted():
    points = np.array([[0.1, 0, 0]] * 4 + [[1.5, 0, 0]] * 2 + [[2.5, 0, 0]])
    voxels = voxelize(points, VoxelGrid(1.0), labels=[2, 2, 1, -1, 7, 4, -1])
    assert voxels.labels.tolist() == [2, 4, -1]
    assert voxels.report.label_conflicts == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduce": "median"}, "reduce must be"),
        ({"choice": "best"}, "choice must be"),
        ({"reduce": "random"}, "needs generator="),
        ({"max_points": 0}, "max_points must be at least 1"),
        ({"max_lost": 2.0}, "share in"),
        ({"features": ("intensity",)}, r"features \['intensity'\] are not there"),
        ({"columns": ("x", "z", "y")}, "begin with 'x', 'y', 'z'"),
        ({"on_invalid": "repair"}, "on_invalid must be"),
        ({"labels": [1]}, "one integer label for each of 4 points"),
        ({"labels": [1.0] * 4}, "one integer label"),
    ],
)
def test_invalid_options_say_what_is_expected(options, message):
    with pytest.raises(PointCloudError, match=message):
        voxelize(np.zeros((4, 3)), VoxelGrid(1.0), **options)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((4, 2)), r"expected points of shape \(P, 3\)"),
        (np.zeros(4), r"expected points of shape \(P, 3\)"),
        (np.zeros((4, 3), complex), "must be real numbers"),
        (np.zeros((4, 3), bool), "must be real numbers"),
    ],
)
def test_invalid_points_say_what_is_expected(points, message):
    with pytest.raises(PointCloudError, match=message):
        voxelize(points, VoxelGrid(1.0))


@pytest.mark.filterwarnings("ignore:.*are over max_points or max_voxels")
def test_the_random_voxel_cap_draws_and_points_of_lost_voxels_map_to_minus_one():
    points = np.arange(20.0)[:, None] + np.array([[0.5, 0.5, 0.5]])
    kept = set()
    for seed in range(8):
        voxels = voxelize(points, VoxelGrid(1.0), max_voxels=1, choice="random", generator=np.random.default_rng(seed))
        row = int(voxels.coordinates[0, 0])
        kept.add(row)
        assert voxels.inverse.tolist() == [0 if point == row else -1 for point in range(20)]
    assert len(kept) > 1


def test_a_column_that_sorts_before_count_is_not_taken_for_it(generator):
    points = generator.uniform(0, 4, (30, 4))
    voxels = voxelize(points, VoxelGrid(1.0), columns=("x", "y", "z", "albedo"), features=("albedo",), reduce="max")
    assert voxels.features.max() == points[:, 3].max().astype(np.float32)
    assert not np.array_equal(voxels.features, np.round(voxels.features))


def test_a_margin_moves_the_corner_and_nothing_else():
    points = np.array([[5.0, 1.0, 2.0], [5.5, 1.0, 2.0], [6.0, 1.9, 2.0]])
    grid = VoxelGrid(1.0, origin="minimum")
    assert voxelize(points, grid).coordinates.tolist() == [[0, 0, 0], [1, 0, 0]]
    moved = voxelize(points, grid, margin=(0.75, 0.0, 3.5), features=("xyz", "offset"))
    assert moved.coordinates.tolist() == [[0, 0, 3], [1, 0, 3]]
    assert moved.features[:, :3].tolist() == [[5.0, 1.0, 2.0], [5.5, 1.0, 2.0]]
    assert moved.features[:, 3:].tolist() == [[0.25, -0.5, 0.0], [-0.25, -0.5, 0.0]]


@pytest.mark.parametrize("margin", [(1, 2), (-1, 0, 0), (np.nan, 0, 0), (2.0**21, 0, 0)])
def test_margins_that_cannot_be_are_refused(margin):
    with pytest.raises(PointCloudError, match="margin is three numbers of voxels from 0"):
        voxelize(np.zeros((1, 3)), VoxelGrid(1.0, origin="minimum"), margin=margin)
    with pytest.raises(PointCloudError, match="origin='absolute'"):
        voxelize(np.zeros((1, 3)), VoxelGrid(1.0), margin=(1, 1, 1))


@pytest.mark.parametrize("width", [2, 4])
def test_points_with_other_columns_than_named_are_refused(width):
    with pytest.raises(PointCloudError, match=rf"expected points of shape \(P, 3\).*got \(5, {width}\)"):
        voxelize(np.zeros((5, width)), VoxelGrid(1.0))


def test_every_point_of_a_voxel_can_stand_for_it():
    points = np.array([[0.5, 0, 0], [1.1, 0, 0], [1.3, 0, 0], [1.5, 0, 0], [2.5, 0, 0]])
    draws = [
        voxelize(points, VoxelGrid(1.0), reduce="random", generator=np.random.default_rng(i)).first_rows.tolist()
        for i in range(60)
    ]
    assert {tuple(rows) for rows in draws} == {(0, 1, 4), (0, 2, 4), (0, 3, 4)}


def test_points_out_of_range_and_over_a_cap_are_lost_together():
    points = np.array([[0.5, 0, 0], [0.6, 0, 0], [1.5, 0, 0], [9.0, 0, 0]])
    grid = VoxelGrid(1.0, lower=-1, upper=3)
    with pytest.raises(PointCloudError, match=r"1 of 4 points are out of range and 1 over a cap, a share of 0\.500"):
        voxelize(points, grid, max_points=1, max_lost=0.4)
