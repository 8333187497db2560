import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikevox.tasks.errors import ConfigError
from spikevox.tasks.transforms import (
    DropPoints,
    Flip,
    Jitter,
    LogColumns,
    NormaliseSphere,
    RotateZ,
    Scale,
    ScaleColumns,
    Shift,
    build_transform,
)

COLUMNS = ("x", "y", "z", "normal_x", "normal_y", "normal_z", "intensity")


def cloud(seed=0, count=50):
    generator = np.random.default_rng(seed)
    points = generator.normal(size=(count, 7))
    points[:, 3:6] /= np.linalg.norm(points[:, 3:6], axis=1, keepdims=True)
    return points


@given(st.integers(0, 1000))
def test_rotations_and_flips_keep_distances_angles_and_other_columns(seed):
    points = cloud()
    for transform in (RotateZ(), Flip()):
        moved = transform(points, COLUMNS, np.random.default_rng(seed))
        np.testing.assert_allclose(moved[:, :3] @ moved[:, :3].T, points[:, :3] @ points[:, :3].T, atol=1e-12)
        np.testing.assert_allclose(
            (moved[:, :3] * moved[:, 3:6]).sum(1), (points[:, :3] * points[:, 3:6]).sum(1), atol=1e-12
        )
        assert np.array_equal(moved[:, 6], points[:, 6])
        assert np.array_equal(moved[:, 2], points[:, 2])


@given(st.integers(0, 1000))
def test_normals_stay_normal_to_a_stretched_plane(seed):
    generator = np.random.default_rng(seed)
    normal = generator.normal(size=3)
    normal /= np.linalg.norm(normal)
    inside = np.cross(normal, generator.normal(size=(20, 3)))
    points = np.column_stack([inside, np.tile(normal, (20, 1)), np.zeros(20)])
    moved = Scale(0.5, each_axis=True)(points, COLUMNS, generator)
    np.testing.assert_allclose(np.linalg.norm(moved[:, 3:6], axis=1), 1, atol=1e-12)
    np.testing.assert_allclose((moved[:, :3] * moved[:, 3:6]).sum(1), 0, atol=1e-9)


def test_normalised_clouds_have_centroid_0_and_radius_1(generator):
    moved = NormaliseSphere()(cloud() * 9 + 4, COLUMNS, generator)
    np.testing.assert_allclose(moved[:, :3].mean(axis=0), 0, atol=1e-12)
    assert np.linalg.norm(moved[:, :3], axis=1).max() == pytest.approx(1)
    assert NormaliseSphere()(cloud()[:0], COLUMNS, generator).shape == (0, 7)
    assert np.array_equal(NormaliseSphere()(np.ones((1, 7)), COLUMNS, generator)[0, :3], [0, 0, 0])


def test_ranges_are_kept(generator):
    points = cloud()
    ratio = Scale(0.2)(points, COLUMNS, generator)[:, :3] / points[:, :3]
    assert np.ptp(ratio) < 1e-12
    assert 0.8 <= ratio[0, 0] <= 1.2
    moved = Shift(0.3)(points, COLUMNS, generator)[:, :3] - points[:, :3]
    assert np.abs(moved).max() <= 0.3
    assert np.ptp(moved, axis=0).max() < 1e-12
    assert np.abs(Jitter(1.0, clip=0.1)(points, COLUMNS, generator) - points).max() <= 0.1 + 1e-12
    turned = RotateZ(0.1)(points, COLUMNS, generator)
    angle = np.arctan2(turned[:, 1], turned[:, 0]) - np.arctan2(points[:, 1], points[:, 0])
    assert np.abs((angle + np.pi) % (2 * np.pi) - np.pi).max() <= 0.1


def test_dropping_keeps_whole_points_and_at_least_one(generator):
    points = cloud()
    kept = DropPoints(0.5)(points, COLUMNS, generator)
    assert 25 <= len(kept) <= 50
    rows = {tuple(p) for p in points}
    assert len({tuple(p) for p in kept}) == len(kept)
    assert all(tuple(p) in rows for p in kept)
    assert len(DropPoints(1.0)(points[:1], COLUMNS, generator)) == 1


def test_inputs_are_left_alone(generator):
    points = cloud()
    before = points.copy()
    for transform in (NormaliseSphere(), RotateZ(), Scale(), Shift(), Flip(), Jitter(), DropPoints()):
        transform(points, COLUMNS, generator)
        assert np.array_equal(points, before)


def test_transforms_are_built_by_class_or_name():
    assert build_transform({"type": "RotateZ", "angle": 0.5}) == RotateZ(0.5)
    assert build_transform({"type": RotateZ, "angle": 0.5}) == RotateZ(0.5)
    with pytest.raises(ConfigError, match="unknown transform 'Rotate'"):
        build_transform({"type": "Rotate"})
    with pytest.raises(ConfigError, match="RotateZ cannot be built with"):
        build_transform({"type": "RotateZ", "angel": 0.5})
    with pytest.raises(ConfigError, match="angle must lie in"):
        RotateZ(7)


def test_columns_are_scaled_and_coordinates_are_not():
    points = np.array([[1.0, 2.0, 3.0, 100.0, 7.0]])
    columns = ("x", "y", "z", "intensity", "ring")
    scaled = ScaleColumns({"intensity": 0.1})(points, columns, np.random.default_rng(0))
    np.testing.assert_allclose(scaled, [[1, 2, 3, 10, 7]])
    assert points[0, 3] == 100.0
    with pytest.raises(ConfigError, match="there is no column 'speed' to scale; there are x, y, z"):
        ScaleColumns({"speed": 2.0})(points, columns, np.random.default_rng(0))
    for factors in ({"x": 2.0}, {"intensity": np.inf}):
        with pytest.raises(ConfigError, match="factors must be finite and of columns that are not coordinates"):
            ScaleColumns(factors)


def test_logarithms_of_columns():
    points = np.array([[1.0, 2.0, 3.0, 0.0], [1.0, 2.0, 3.0, np.e - 1], [1.0, 2.0, 3.0, -0.5]])
    columns = ("x", "y", "z", "intensity")
    taken = LogColumns({"intensity": 1.0})(points, columns, np.random.default_rng(0))
    assert taken[:, 3] == pytest.approx([0, 1, 0])
    assert np.array_equal(taken[:, :3], points[:, :3])
    assert LogColumns({"intensity": 50.0})(points, columns, np.random.default_rng(0))[1, 3] == pytest.approx(
        np.log(1 + 50 * (np.e - 1))
    )
    again = build_transform({"type": "LogColumns", "factors": {"intensity": 50.0}})
    assert again == LogColumns({"intensity": 50.0})
    assert not again.augments
    with pytest.raises(ConfigError, match="factors of a logarithm must be above 0"):
        LogColumns({"intensity": 0.0})


def test_a_flip_mirrors_the_axes_that_it_is_told():
    points = cloud()
    seen = {tuple(np.sign(Flip(("y",)).draw(np.random.default_rng(seed)).diagonal())) for seed in range(20)}
    assert seen == {(1, 1, 1, 1), (1, -1, 1, 1)}
    both = {tuple(Flip()(points, COLUMNS, np.random.default_rng(seed))[0, :2] / points[0, :2]) for seed in range(40)}
    assert both == {(1, 1), (1, -1), (-1, 1), (-1, -1)}
    for axes in ((), ("z",), "xz"):
        with pytest.raises(ConfigError, match="axes to mirror"):
            Flip(axes)


def test_only_what_moves_all_points_alike_keeps_boxes():
    kept = [RotateZ(), Scale(), Shift(), Flip(), Jitter(), DropPoints(), ScaleColumns({"intensity": 2.0})]
    kept.append(LogColumns({"intensity": 2.0}))
    assert all(transform.keeps_boxes() for transform in kept)
    assert not any(transform.keeps_boxes() for transform in (NormaliseSphere(), Scale(each_axis=True)))
