import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikevox.encoding import VoxelGrid, collate, voxelize
from spikevox.layers.backbones import UNet
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.segmentation import PointSegmenter, Segmenter, cover_points, turned_views
from spikevox.tasks.segmentation.inference import point_scores
from tasks.segmentation.toy_dataset import OPTIONS, ToyScenes

pytestmark = pytest.mark.filterwarnings("ignore:.*no voxel is left")


@given(st.lists(st.integers(-1, 5), max_size=40))
def test_fragments_cover_every_point_and_have_one_of_each_voxel(members):
    inverse = np.array(members, dtype=np.int64)
    fragments = cover_points(inverse)
    placed = set(np.flatnonzero(inverse >= 0).tolist())
    assert {int(row) for rows in fragments for row in rows} == placed
    for rows in fragments:
        assert sorted(inverse[rows].tolist()) == sorted({m for m in members if m >= 0})
    assert len(fragments) == max((members.count(m) for m in set(members) if m >= 0), default=0)
    assert len(cover_points(inverse, limit=2)) == min(2, len(fragments))


@given(st.integers(0, 1000))
def test_points_have_the_scores_of_their_voxel_and_others_of_the_nearest_point(seed):
    generator = np.random.default_rng(seed)
    points = generator.uniform(-1, 3, (30, 3))
    voxels = voxelize(points, VoxelGrid(0.7, lower=0, upper=2.1))
    scores = generator.random((len(voxels), 4))
    found = point_scores(scores, voxels, points)
    kept = points[voxels.first_rows]
    for row, point in enumerate(points):
        inside = voxels.inverse[row] >= 0
        expected = (
            voxels.inverse[row] if inside else np.linalg.norm(kept - point, axis=1).argmin() if len(kept) else None
        )
        assert np.allclose(found[row], 0 if expected is None else scores[expected])
        if not inside:
            assert not point_scores(scores, voxels, points, "none")[row].any()


def test_views_are_turns_and_mirrors_all_different():
    views = turned_views(8)
    assert np.array_equal(views[0], np.eye(3))
    assert len({tuple(view.ravel().tolist()) for view in views}) == 8
    assert [round(np.linalg.det(view)) for view in views] == [1] * 4 + [-1] * 4
    assert [(view @ [1, 0, 5]).tolist() for view in views[:4]] == [[1, 0, 5], [0, 1, 5], [-1, 0, 5], [0, -1, 5]]
    with pytest.raises(ConfigError, match="from 1 to 8, got 9"):
        turned_views(9)


def network():
    torch.manual_seed(0)
    return Segmenter(UNet(4, size="small", batch_norm_momentum=1.0), 3)


@pytest.fixture(scope="module")
def used():
    """A network whose running statistics are those of a batch, so that its neurons fire."""
    torch.manual_seed(0)
    net = network()
    scenes = ToyScenes(count=4)
    net(*collate([scenes[i] for i in range(4)]))
    return net.eval()


def test_one_view_is_the_network_on_the_voxels_for_every_point(used):
    data = ToyScenes(count=1)
    points = data.points(data.read(0))
    found = PointSegmenter(used, data.pipeline.settings())(points)
    voxels = data[0]
    expected = used(*collate([voxels]), mode="predict")[0]["scores"].detach().numpy()[voxels.inverse]
    assert np.allclose(found, expected, atol=1e-6)


def test_fragments_show_every_point_to_the_network(used):
    data = ToyScenes(count=1, points=60, grid={"voxel_size": 4.0, "origin": "minimum"})
    points = data.points(data.read(0))
    whole = voxelize(points, data.pipeline.grid, columns=OPTIONS["columns"], features=OPTIONS["features"])
    segment = PointSegmenter(used, data.pipeline.settings(), fragments=None)
    seen = []
    used_forward = used.forward

    def spy(coordinates, features, *rest, **options):
        seen.append((coordinates, features))
        return used_forward(coordinates, features, *rest, **options)

    used.forward = spy
    try:
        found = segment(points)
    finally:
        del used.forward
    assert {tuple(row) for _, features in seen for row in features.tolist()} == {tuple(row) for row in points.tolist()}
    assert all(np.array_equal(c[:, 1:], whole.coordinates) for c, _ in seen)
    # By hand: the mean over the passes in which a point stands for its voxel.
    sums, times = np.zeros((60, 3)), np.zeros(60)
    for coordinates, features in seen:
        scores = used_forward(coordinates, features, batch_size=1, mode="predict")[0]["scores"].detach().numpy()
        for row, feature in zip(scores, features.tolist(), strict=True):
            index = points.tolist().index(feature)
            sums[index] += row
            times[index] += 1
    assert np.allclose(found, sums / times[:, None], atol=1e-5)
    assert not np.allclose(found, PointSegmenter(used, data.pipeline.settings())(points))


def test_votes_average_the_views_and_a_limit_of_fragments_still_scores_every_point(used):
    data = ToyScenes(count=1)
    points = data.points(data.read(0))
    settings = data.pipeline.settings()
    single = []
    for matrix in turned_views(4):
        turned = points.copy()
        turned[:, :3] = points[:, :3] @ matrix.T
        single.append(PointSegmenter(used, settings)(turned))
    assert np.allclose(PointSegmenter(used, settings, views=4)(points), np.mean(single, axis=0), atol=1e-5)
    limited = PointSegmenter(used, settings, fragments=2)(points)
    assert np.allclose(limited.sum(axis=1), 1, atol=1e-5)


def test_empty_clouds_and_clouds_out_of_range_have_no_scores(used):
    grid = {"voxel_size": 0.5, "lower": (100, 100, 100), "upper": (101, 101, 101)}
    for fragments in (1, None):
        segment = PointSegmenter(used, {**OPTIONS, "grid": grid}, views=2, fragments=fragments)
        assert segment(np.zeros((0, 4), np.float32)).shape == (0, 3)
        assert not segment(np.zeros((5, 4), np.float32)).any()


def test_a_mean_of_points_is_no_subject_for_fragments(used):
    data = ToyScenes(count=1, reduce="mean")
    points = data.points(data.read(0))
    settings = data.pipeline.settings()
    assert np.array_equal(
        PointSegmenter(used, settings, fragments=None)(points), PointSegmenter(used, settings)(points)
    )


def test_invalid_options_are_refused(used):
    for options in ({"fragments": 0}, {"outside": "far"}):
        with pytest.raises(ConfigError, match="fragments is at least 1 and outside"):
            PointSegmenter(used, OPTIONS, **options)
