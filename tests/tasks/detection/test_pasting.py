"""Objects pasted into frames: nothing overlaps, labels and points go along, the ground bears them, seeds decide."""

import numpy as np
import pytest

from oracles.exact_overlap import overlap_from_above
from spikevox.tasks.datasets import Boxes, DetectionDataset, LidarFrame, ObjectBank, PasteObjects, StreetFrames
from spikevox.tasks.errors import ConfigError, DataFileError

GRID = {"voxel_size": 0.5, "lower": (-30, -30, -5), "upper": (30, 30, 5)}
COLUMNS = ("x", "y", "z", "intensity")


def boxes(rows, names, **options):
    table = np.array(rows, dtype=np.float64).reshape(-1, 7)
    return Boxes(table[:, :3], table[:, 3:6], table[:, 6], tuple(names), **options)


def ground(height=-2.0, reach=20):
    axis = np.arange(-reach, reach, 0.5)
    x, y = (part.ravel() for part in np.meshgrid(axis, axis))
    return np.column_stack([x, y, np.full(len(x), height), np.zeros(len(x))])


def bank(rows, names, points=8):
    """Each object has so many points, all at its middle, whose intensity is its number."""
    found = boxes(rows, names)
    cloud = np.concatenate([np.column_stack([np.tile(one, (points, 1)), np.full(points, number)])
                            for number, one in enumerate(found.centers)])  # fmt: skip
    return ObjectBank.gather([(cloud, found)], COLUMNS)


NONE = boxes([], [])


def paste(scene, held, *, counts=None, obstacles=NONE, mine=NONE, seed=0, **options):
    rule = PasteObjects(counts or {"car": 9}, **options)
    return rule(scene, mine, obstacles, held, np.random.default_rng(seed))


def test_an_object_stands_on_the_ground_with_its_points():
    held = bank([[5, 5, 0.5, 4, 2, 1.5, 0.3]], ["car"])
    points, found = paste(ground(), held)
    # Its underside was at -0.25 m and is at -2 m now.
    assert found.array()[0].tolist() == pytest.approx([5, 5, -1.25, 4, 2, 1.5, 0.3])
    assert found.names == ("car",)
    assert found.count_points(points).tolist()[0] >= 8
    assert np.allclose(points[-8:], [5, 5, -1.25, 0])
    points, found = paste(ground(), held, on_ground=False)
    assert found.centers[0, 2] == 0.5
    # Where nothing tells the ground, it keeps its height.
    assert paste(ground()[:3], held)[1].centers[0, 2] == 0.5


def test_points_of_the_scene_within_a_box_make_way_and_all_others_stay():
    scene = ground(height=-1.9)
    held = bank([[5, 5, -1.25, 4, 2, 1.5, 0.0]], ["car"])
    points, found = paste(scene, held, on_ground=False)
    inside = (np.abs(scene[:, 0] - 5) <= 2) & (np.abs(scene[:, 1] - 5) <= 1)
    assert inside.sum() > 30
    assert np.array_equal(points[:-8], scene[~inside])
    assert len(found) == 1


def test_what_is_in_the_way_keeps_an_object_out():
    held = bank([[5, 5, -1.25, 4, 2, 1.5, 0.0]], ["car"])
    beside, bridge = [8, 5.5, -1.25, 4, 2, 1.5, 0], [5, 5, 4.0, 9, 9, 0.5, 0]
    for obstacle in (beside, bridge):
        points, found = paste(ground(), held, obstacles=boxes([obstacle], ["sign"]))
        assert len(found) == 0
        assert len(points) == len(ground())
    assert len(paste(ground(), held, obstacles=boxes([[9.1, 5, -1.25, 4, 2, 1.5, 0]], ["sign"]))[1]) == 1
    wall = np.column_stack([np.full(6, 5.0), np.linspace(4.5, 5.5, 6), np.linspace(-1.5, -0.6, 6), np.zeros(6)])
    assert len(paste(np.concatenate([ground(), wall]), held)[1]) == 0
    assert len(paste(np.concatenate([ground(), wall]), held, most_inside=6)[1]) == 1
    high = wall + np.array([0, 0, 3, 0])
    assert len(paste(np.concatenate([ground(), high]), held)[1]) == 1


def test_classes_counts_and_points_are_kept_to():
    rows = [[x, y, -1.25, 2, 1, 1.5, 0] for x in range(-15, 16, 6) for y in range(-15, 16, 6)]
    names = ["car", "walker", "bus"] * 12
    held = bank(rows, names)
    thin = bank(rows, names, points=4)
    for seed in range(5):
        _, found = paste(ground(), held, counts={"car": 3, "walker": 5}, seed=seed)
        assert sorted(found.names) == ["car"] * 3 + ["walker"] * 5
        assert len(np.unique(found.centers, axis=0)) == 8
        numbers = [int(row) for row in paste(ground(), held, counts={"bus": 2}, seed=seed)[0][-16:, 3]]
        assert {names[number] for number in numbers} == {"bus"}
    assert len(paste(ground(), thin)[1]) == 0
    assert len(paste(ground(), thin, least_points=4)[1]) == 9


@pytest.mark.parametrize("seed", range(8))
def test_no_two_boxes_overlap(seed):
    """Crowded, turned at random; overlaps from an exact oracle."""
    generator = np.random.default_rng(seed)
    rows = generator.uniform((-15, -15, -1, 1, 1, 1, -3), (15, 15, 1, 6, 4, 3, 3), (120, 7))
    there = boxes(rows[:12], ["sign"] * 12)
    held = bank(rows[12:], ["car"] * 108)
    mine = there.take(np.arange(4))
    scene = generator.uniform((-20, -20, -2, 0), (20, 20, -1.9, 1), (3000, 4))
    _, found = paste(scene, held, counts={"car": 108}, obstacles=there, mine=mine, seed=seed)
    added = found.array()[4:]
    assert found.names == ("sign",) * 4 + ("car",) * len(added)
    assert 10 < len(added) < 100
    for place, one in enumerate(added):
        for other in [*there.array(), *added[:place]]:
            far = np.hypot(*(one[:2] - other[:2])) > (np.hypot(*one[3:5]) + np.hypot(*other[3:5])) / 2
            assert far or overlap_from_above(one, other) < 1e-9


STREETS = StreetFrames(3, first_seed=5, keep=True)


def dataset(frames=STREETS, **options):
    return DetectionDataset(
        frames,
        classes={"car": ["car", "van"], "person": ["pedestrian"]},
        grid=GRID,
        columns=COLUMNS,
        features=("xyz", "intensity"),
        least_points=5,
        **options,
    )


@pytest.fixture(scope="module")
def pasting():
    return dataset(paste={"counts": {"car": 6}})


def test_samples_have_more_objects_and_seeds_decide_which(pasting):
    plain = dataset()
    again = dataset(paste=PasteObjects({"car": 6}))
    more = 0
    for index in range(3):
        found, expected = pasting.cloud((index, 1)).boxes, plain.cloud((index, 1)).boxes
        assert np.array_equal(found.array(), again.cloud((index, 1)).boxes.array())
        added = set(map(tuple, found.array())) - set(map(tuple, expected.array()))
        more += len(added)
        other = pasting.cloud((index, 2)).boxes
        assert len(found) != len(other) or not np.array_equal(found.array(), other.array())
    assert 3 < more <= 18
    assert {name for name in pasting.bank().boxes.names} == {"car", "person"}


def test_a_bank_is_read_back_equal_and_serves_another_data_set(pasting, tmp_path):
    held = pasting.bank()
    held.save(tmp_path / "objects.npz")
    back = ObjectBank.load(tmp_path / "objects.npz")
    assert back.columns == held.columns
    assert back.boxes.names == held.boxes.names
    assert np.array_equal(back.boxes.array(), held.boxes.array())
    assert np.array_equal(back.boxes.velocities, held.boxes.velocities, equal_nan=True)
    assert len(back) == len(held) > 10
    assert all(np.array_equal(a, b) for a, b in zip(back.points, held.points, strict=True))
    other = dataset(paste={"counts": {"car": 6}, "bank": tmp_path / "objects.npz"})
    assert np.array_equal(other.cloud(0).boxes.array(), pasting.cloud(0).boxes.array())
    empty = ObjectBank.gather([], COLUMNS)
    empty.save(tmp_path / "empty.npz")
    assert len(ObjectBank.load(tmp_path / "empty.npz")) == 0
    assert len(paste(ground(), empty)[1]) == 0
    data = (tmp_path / "objects.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(data[: len(data) // 2])
    np.savez(tmp_path / "other.npz", boxes=np.zeros((2, 7)))
    for name in ("half.npz", "other.npz", "none.npz"):
        with pytest.raises(DataFileError, match=f"{name} holds no objects"):
            ObjectBank.load(tmp_path / name)


def test_options_that_do_not_fit_are_named(tmp_path):
    with pytest.raises(ConfigError, match="no class 'bus' to paste; there are car, person"):
        dataset(paste={"counts": {"bus": 2}})
    for counts in ({}, {"car": -1}):
        with pytest.raises(ConfigError, match="counts are numbers of objects"):
            PasteObjects(counts)
    ObjectBank.gather([], ("x", "y", "z")).save(tmp_path / "thin.npz")
    with pytest.raises(ConfigError, match="objects to paste have the columns x, y, z, points x, y, z, intensity"):
        dataset(paste={"counts": {"car": 1}, "bank": tmp_path / "thin.npz"}).cloud(0)


def test_frames_without_boxes_are_left_as_they_are(pasting):
    frame = LidarFrame(ground().astype(np.float32), COLUMNS, "bare")
    streets = StreetFrames(3)
    streets.frame = lambda index: frame
    data = dataset(streets, paste={"counts": {"car": 6}})
    cloud = data.cloud(0)
    assert cloud.boxes is None
    assert cloud.voxels.report.points == len(frame.points)
