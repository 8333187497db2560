import numpy as np
import pytest

from spikevox.tasks.detection.cluster_boxes import class_sizes, cluster_boxes, standing_groups
from spikevox.tasks.detection.clusters import ClusterSettings, find_clusters, fit_rectangle, ground_heights, grow
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.geometry import bev_iou, iou_3d
from tasks.detection.toy_scene import box, height, labelled, plane, scene, sides

CARS = [box(8, 5), box(-7, 6, yaw=0.5), box(3, -9, yaw=1.9), box(-10, -8, yaw=-0.2)]
SIZES = class_sizes([labelled(CARS)], ["car"])


def found_on(points, settings=None, sizes=SIZES, **options):
    settings = settings or ClusterSettings()
    return cluster_boxes(standing_groups(points, settings), sizes, settings, **{"complete": False, **options})


def ground_by_loops(xyz, half):
    """The highest of the lowest around, cell by cell."""
    cells = np.floor(xyz[:, :2] / 0.5).astype(int)
    lowest = {}
    for cell, z in zip(map(tuple, cells), xyz[:, 2], strict=True):
        lowest[cell] = min(z, lowest.get(cell, np.inf))
    low, high = cells.min(axis=0), cells.max(axis=0)
    near = [(i, j) for i in range(-half, half + 1) for j in range(-half, half + 1)]
    every = [(i, j) for i in range(low[0], high[0] + 1) for j in range(low[1], high[1] + 1)]
    around = {(i, j): [(i + a, j + b) for a, b in near] for i, j in every}
    eroded = {cell: min(lowest.get(one, np.inf) for one in around[cell]) for cell in every}
    known = {cell: value for cell, value in eroded.items() if value < np.inf}
    return np.array([max(known.get(one, -np.inf) for one in around[tuple(cell)]) for cell in cells])


def test_the_ground_is_an_opening_of_the_lowest_points():
    xyz = np.random.default_rng(0).normal(size=(300, 3)) * [3, 2, 1]
    assert np.array_equal(ground_heights(xyz, 2.0), ground_by_loops(xyz, 2))


def test_the_ground_goes_on_below_what_stands_on_it():
    points = scene(CARS)
    # A cell of half a metre holds points half a metre of slope apart, and a window of 8 m sees 4 m of it to each side.
    assert np.abs(ground_heights(points, 8.0) - height(points[:, :2])).max() < 0.02 * 4.5 + 1e-9


def test_every_car_is_one_group_of_all_its_points_above_the_ground():
    groups = [points for points, _ in find_clusters(scene(CARS), ClusterSettings(clearance=0.25))]
    assert len(groups) == 4
    for points in groups:
        car = CARS[int(np.argmin([np.linalg.norm(row[:2] - points[:, :2].mean(axis=0)) for row in CARS]))]
        # The lowest two of nine rows lie on or near the ground.
        assert 7 / 9 - 0.01 < len(points) / len(sides(car)) < 8 / 9 + 0.01


@pytest.mark.parametrize("criterion", ["area", "closeness"])
@pytest.mark.parametrize("degrees", [0, 14, 46, 88])
def test_a_rectangle_has_the_turn_and_size_of_its_points(criterion, degrees):
    angle = np.deg2rad(degrees)
    points = sides(box(9, 4, yaw=angle))[:, :2]
    found = fit_rectangle(points, criterion)
    assert found.turn == pytest.approx(angle)
    np.testing.assert_allclose(found.high - found.low, [4.5, 1.8], atol=1e-9)


def test_two_sides_in_a_corner_turn_the_closest_rectangle_as_they_lie():
    assert fit_rectangle(sides(box(9, 4, yaw=0.6981317), shown="near")[:, :2]).turn == pytest.approx(np.deg2rad(40))


def test_a_rectangle_grows_away_from_the_origin():
    low, high = grow(np.array([2.0, -3.0]), np.array([3.0, -1.0]), np.array([4.0, 2.5]))
    assert low.tolist() == [2.0, -3.5]
    assert high.tolist() == [6.0, -1.0]
    low, high = grow(np.array([-1.0, 1.0]), np.array([1.0, 9.0]), np.array([4.0, 2.0]))
    assert (low.tolist(), high.tolist()) == ([-2.0, 1.0], [2.0, 9.0])


def test_boxes_around_whole_cars_are_the_cars():
    boxes = found_on(scene(CARS))
    assert boxes.names == ("car",) * 4
    assert bev_iou(boxes.array(), np.array(CARS)).max(axis=0).min() > 0.93
    # The ground is found a few centimetres too high or too low.
    assert iou_3d(boxes.array(), np.array(CARS)).max(axis=0).min() > 0.88
    assert (np.abs(boxes.yaw) <= np.pi).all()


def test_completed_boxes_find_cars_of_which_one_end_is_seen():
    car = box(12, 0)
    points = scene([car], shown="near")
    assert np.ptp(sides(car, shown="near")[:, 0]) < 0.01
    fitted, completed = found_on(points), found_on(points, complete=True)
    assert bev_iou(fitted.array(), car[None]).max() < 0.2
    assert bev_iou(completed.array(), car[None]).max() > 0.95


def test_the_likelier_size_decides_class_and_score():
    person = box(2, 3, size=(0.8, 0.6, 1.7))
    sizes = class_sizes([labelled([*CARS, person], ["car"] * 4 + ["walker"])], ["car", "walker"])
    boxes = found_on(scene([*CARS, person, box(-5, 13, size=(3.0, 2.6, 2.2))]), sizes=sizes)
    assert sorted(boxes.names) == ["car"] * 5 + ["walker"]
    assert np.all(np.diff(boxes.scores) <= 0)
    assert np.linalg.norm(boxes.centers[-1, :2] - [-5, 13]) < 0.2


def test_more_points_make_a_score_better():
    rows = [box(8, 5), box(-7, 6)]
    points = np.concatenate([plane(free=rows), np.repeat(sides(rows[1]), 3, axis=0), sides(rows[0])])
    boxes = found_on(points, ClusterSettings(points_weight=1.0))
    assert boxes.centers[0, 0] < 0 < boxes.centers[1, 0]
    assert boxes.scores[0] - boxes.scores[1] == pytest.approx(np.log(3), abs=0.1)


def test_walls_and_bare_ground_give_no_boxes():
    assert len(found_on(scene([box(5, 8, size=(12, 0.3, 2.5))]))) == 0
    assert len(found_on(plane())) == 0
    assert len(found_on(np.zeros((0, 3)))) == 0


def test_a_class_without_objects_has_no_size():
    with pytest.raises(ConfigError, match="no walker in 1 frames"):
        class_sizes([labelled(CARS)], ["car", "walker"])
