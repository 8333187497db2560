"""nuScenes' figures against loops over boxes, and against what can be told without them."""

import random
from dataclasses import replace

import numpy as np
import pytest

from oracles.nuscenes_loops import RANGE, evaluate, random_frame, random_frames
from spikevox.tasks.datasets import Boxes
from spikevox.tasks.detection import nuscenes_result
from spikevox.tasks.errors import ConfigError
from tasks.detection.from_loops import boxes_of


def scene(count=30, name="car", seed=0):
    """Objects five metres apart, all in range."""
    generator = np.random.default_rng(seed)
    places = np.array([(5 * (i % 6) - 12, 5 * (i // 6) - 12, 0) for i in range(count)], dtype=np.float64)
    return Boxes(
        places,
        generator.uniform(1, 4, (count, 3)),
        generator.uniform(-3, 3, count),
        (name,) * count,
        velocities=generator.uniform(-5, 5, (count, 2)),
        attributes=("vehicle.moving",) * count,
    )


def scored(truth, seed=0):
    scores = np.random.default_rng(seed).permutation(len(truth)) / (len(truth) + 1) + 0.01
    return replace(truth, scores=scores, point_counts=None)


@pytest.mark.parametrize("seed", range(200))
def test_figures_equal_loops_over_boxes(seed):
    frames = random_frames(random.Random(seed))
    rows, mean_ap, errors, nds = evaluate(frames)
    result = nuscenes_result(
        [boxes_of(objects, truth=True, categories=True) for objects, _ in frames],
        [boxes_of(found, truth=False) for _, found in frames],
    )
    for row in result.rows:
        count, aps, own = rows[row.name]
        assert row.boxes == count
        assert row.ap_by_distance == pytest.approx(aps, abs=1e-9)
        assert row.ap == pytest.approx(sum(aps) / 4, abs=1e-9)
        assert row.errors == pytest.approx(own, abs=1e-9, nan_ok=True)
    assert result.mean_ap == pytest.approx(mean_ap, abs=1e-9)
    assert result.errors == pytest.approx(errors, abs=1e-9)
    assert result.nds == pytest.approx(nds, abs=1e-9)


def test_the_random_scenes_have_what_makes_matching_hard():
    values = []
    for seed in range(40):
        generator = random.Random(seed)
        values.append(evaluate([random_frame(generator) for _ in range(3)]))
    cars = [(ap, errors) for rows, *_ in values for ap, errors in [rows["car"][1:]]]
    assert sum(0 < ap[0] < ap[3] < 1 for ap, _ in cars) > 10
    for error in range(5):
        assert sum(0 < errors[error] < 1 for _, errors in cars) > 5


def test_ground_truth_as_prediction_is_perfect():
    names = list(RANGE)
    truth = [replace(scene(20, seed=seed), names=tuple(names * 2)) for seed in range(3)]
    result = nuscenes_result(truth, [scored(one, seed) for seed, one in enumerate(truth)])
    assert result.mean_ap == pytest.approx(1, abs=1e-12)
    assert result.errors == pytest.approx((0,) * 5, abs=1e-12)
    assert result.nds == pytest.approx(1, abs=1e-12)
    assert [row.boxes for row in result.rows] == [6] * 10


def test_no_predictions_score_nothing():
    result = nuscenes_result([scene()], [boxes_of([], truth=False)])
    assert (result.mean_ap, result.errors, result.nds) == (0, (1.0,) * 5, 0)


def test_classes_without_objects_count_as_missed():
    """As in the development kit; naming the classes leaves them out."""
    truth = [scene()]
    assert nuscenes_result(truth, [scored(truth[0])]).mean_ap == pytest.approx(0.1)
    assert nuscenes_result(truth, [scored(truth[0])], classes=("car",)).nds == pytest.approx(1)


def test_unknown_attributes_and_velocities_cost_their_part_of_the_score():
    truth = replace(scene(), attributes=None, velocities=None)
    result = nuscenes_result([truth], [scored(truth)], classes=("car",))
    assert result.errors == pytest.approx((0, 0, 0, 1, 1))
    assert result.nds == pytest.approx(0.8)


def test_detections_of_categories_that_are_not_scored_do_not_count():
    truth = scene()
    found = scored(truth)
    more = Boxes(*(np.concatenate([part, part]) for part in (found.centers, found.sizes, found.yaw)),
                 found.names + ("animal",) * 30, velocities=np.concatenate([found.velocities] * 2),
                 scores=np.concatenate([found.scores] * 2), attributes=found.attributes * 2)  # fmt: skip
    assert nuscenes_result([truth], [more]) == nuscenes_result([truth], [found])
    assert more.take(np.arange(60) < 30).names == found.names


def test_a_duplicate_is_false():
    truth = scene(10)
    found = scored(truth)
    twice = Boxes(*(np.concatenate([part, part]) for part in (found.centers, found.sizes, found.yaw)), found.names * 2,
                  scores=np.concatenate([found.scores, found.scores]))  # fmt: skip
    result = nuscenes_result([truth], [twice], classes=("car",))
    # Each object's second detection follows its first: precision falls to 1/2 where recall rises to 1.
    assert 0.4 < result.mean_ap < 0.6


def test_ranges_are_measured_from_the_vehicle():
    truth = replace(scene(3), centers=np.array([[49.9, 0, 0], [50.1, 0, 0], [0, 60, 0]]))
    assert nuscenes_result([truth], [scored(truth)]).rows[3].boxes == 1
    moved = nuscenes_result([truth], [scored(truth)], origins=np.array([[40.0, 40, 0]]))
    assert {row.name: row.boxes for row in moved.rows}["car"] == 3


def test_objects_without_points_and_bicycles_in_racks_are_left_out():
    rack = Boxes(
        np.array([[0.0, 0, 0]]), np.array([[8.0, 2, 2]]), np.array([np.pi / 2]), ("static_object.bicycle_rack",)
    )
    bicycles = replace(scene(3, "vehicle.bicycle"), centers=np.array([[0.0, 3.9, 0], [3.9, 0, 0], [0, 0, 5]]))
    together = Boxes(
        *(np.concatenate([getattr(part, field) for part in (rack, bicycles)]) for field in ("centers", "sizes", "yaw")),
        rack.names + bicycles.names,
    )
    counts = {row.name: row.boxes for row in nuscenes_result([together], [scored(bicycles)]).rows}
    assert counts["bicycle"] == 2
    empty = replace(together, point_counts=np.array([9, 5, 0, 5]))
    counts = {row.name: row.boxes for row in nuscenes_result([empty], [scored(bicycles)]).rows}
    assert counts["bicycle"] == 1


def test_the_table_names_what_it_shows():
    lines = nuscenes_result([scene()], [scored(scene())]).table().splitlines()
    assert lines[0].split() == [
        *("class", "boxes", "AP", "0.5", "m", "1", "m", "2", "m", "4", "m", "ATE", "ASE", "AOE", "AVE", "AAE"),
    ]
    assert ["car", "30", *["1.0000"] * 5, *["0.0000"] * 5] in [line.split() for line in lines]
    assert ["traffic_cone", "0", *["0.0000"] * 5, "1.0000", "1.0000", "-", "-", "-"] in [line.split() for line in lines]
    assert lines[-1] == "NDS 0.1061 over 1 frames"


def test_what_cannot_be_scored_is_refused():
    truth = scene()
    with pytest.raises(ConfigError, match="frame 1 has no ground truth"):
        nuscenes_result([truth, None], [scored(truth)] * 2)
    with pytest.raises(ConfigError, match="got 1 of ground truth, 2 of predictions"):
        nuscenes_result([truth], [scored(truth)] * 2)
    with pytest.raises(ConfigError, match="no frame of 0 has an object"):
        nuscenes_result([], [])
    with pytest.raises(ConfigError, match="no frame of 1 has an object of bus"):
        nuscenes_result([truth], [scored(truth)], classes=("bus",))
    with pytest.raises(ConfigError, match="got lorry"):
        nuscenes_result([truth], [scored(truth)], classes=("lorry",))
    with pytest.raises(ConfigError, match="frame 0: detections without finite scores"):
        nuscenes_result([truth], [truth])
    with pytest.raises(ConfigError, match="frame 0: 'lorry' is neither a category nor"):
        nuscenes_result([truth], [replace(scored(truth), names=("lorry",) * 30)])
    many = scene(501)
    with pytest.raises(ConfigError, match="frame 0 has 501 detections, at most 500"):
        nuscenes_result([truth], [scored(many)])
