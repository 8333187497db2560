"""KITTI's figures against loops over boxes and thresholds, and against what can be told without either."""

import random
from dataclasses import replace
from math import isnan, pi

import pytest

from oracles.kitti_loops import LEVELS, average_precision, random_frame, random_object
from spikevox.tasks.datasets import KittiLabel, KittiObjects
from spikevox.tasks.detection import kitti_result
from spikevox.tasks.errors import BoxError, ConfigError
from tasks.detection.from_loops import kitti_label

CLASSES = ("Car", "Pedestrian", "Cyclist")
MEASURES = ("bbox", "bev", "3d", "aos")


def car(place=0, **changes):
    """A car that counts at every level, each place far from the others."""
    rectangle, location = (40.0 * place, 100.0, 40.0 * place + 30, 150.0), (10.0 * place, 1.6, 20.0)
    box = KittiLabel("Car", 0.0, 0, 0.3, rectangle, (1.5, 1.6, 3.9), location, 0.4)
    return replace(box, **changes)


def scored(labels, scores):
    return [replace(one, score=score) for one, score in zip(labels, scores, strict=True)]


@pytest.mark.parametrize("seed", range(200))
def test_figures_equal_loops_over_boxes(seed):
    generator = random.Random(seed)
    frames = [random_frame(generator) for _ in range(generator.randint(1, 4))]
    truth = [[kitti_label(box) for box in frame[0]] for frame in frames]
    if not any(one.name in CLASSES for rows in truth for one in rows):
        truth[0].append(car())
        frames[0][0].append({"name": "Car", "truncated": 0.0, "occluded": 0, "alpha": 0.3, "rectangle": car().box_2d,
                             "size": car().size, "location": car().location, "rotation_y": 0.4})  # fmt: skip
    result = kitti_result(truth, [[kitti_label(box) for box in frame[1]] for frame in frames])
    assert len(result.rows) == 36
    for row in result.rows:
        boxes, expected = average_precision(frames, row.name.lower(), row.level, row.measure)
        assert row.boxes == boxes
        if expected is None:
            assert isnan(row.r11)
            assert isnan(row.r40)
            assert isnan(row.exact)
        else:
            assert (row.r11, row.r40, row.exact) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_figures_of_more_objects_than_samples_equal_loops_over_boxes(seed):
    """With more than 41 objects the thresholds are a choice among the scores."""
    generator = random.Random(1000 + seed)
    names = ("Car", "Car", "Car", "Car", "Car", "Van", "DontCare")
    frames = [random_frame(generator, 12, names) for _ in range(50)]
    truth, found = ([[kitti_label(box) for box in frame[side]] for frame in frames] for side in (0, 1))
    result = kitti_result(truth, found, min_overlap={"Car": 0.7}, measures=("bbox", "aos"))
    for row in result.rows:
        boxes, expected = average_precision(frames, "car", row.level, row.measure)
        assert row.boxes == boxes
        assert (row.r11, row.r40, row.exact) == pytest.approx(expected, abs=1e-9)
    assert result.row("Car", "bbox", "hard").boxes > 80


@pytest.mark.parametrize("boxes", [45, 52, 60, 100])
def test_scores_as_near_to_a_sample_as_the_next_are_taken(boxes):
    """At these numbers of objects some recalls lie in the middle between two samples."""
    generator = random.Random(boxes)
    frames = []
    for place in range(boxes):
        object_ = {**random_object(generator, ["Car"]), "occluded": 0, "truncated": 0.0, "rectangle": (0.0, 0, 100, 50)}
        false = {**object_, "rectangle": (500.0, 0, 600, 50), "score": generator.random()}
        frames.append(([object_], [{**object_, "score": generator.random()}, *([false] if place % 3 else [])]))
    truth, found = ([[kitti_label(box) for box in frame[side]] for frame in frames] for side in (0, 1))
    row = kitti_result(truth, found, measures=("bbox",)).row("Car", "bbox", "easy")
    assert (row.boxes, row[4:]) == (boxes, pytest.approx(average_precision(frames, "car", "easy", "bbox")[1], abs=1e-9))


def test_the_random_scenes_have_what_makes_matching_hard():
    """Figures are neither all 0 nor all 100, and orientation matters."""
    values = {measure: [] for measure in MEASURES}
    for seed in range(40):
        generator = random.Random(seed)
        frames = [random_frame(generator) for _ in range(3)]
        for measure in MEASURES:
            figures = average_precision(frames, "car", "hard", measure)[1]
            values[measure].append(figures and figures[2])
    for measure in MEASURES:
        assert sum(value is not None and 0 < value < 100 for value in values[measure]) > 15
    assert values["bbox"] != values["aos"]
    assert values["bev"] != values["3d"]


@pytest.mark.data
def test_real_ground_truth_as_prediction(data):
    frames = KittiObjects(data("kitti"), "training")
    truth = [frames.labels(index) for index in range(len(frames))]
    real = [[row for row in rows if row.name != "DontCare"] for rows in truth]
    found = [scored(rows, [1 - place / 100 for place in range(len(rows))]) for rows in real]
    rows = [row for row in kitti_result(truth, found).rows if row.boxes]
    assert len(rows) > 30
    for row in rows:
        assert row.exact == pytest.approx(100, abs=1e-9)
        assert row.r40 == pytest.approx(100 * (min(row.boxes, 41) - 1) / 40, abs=1e-9)


@pytest.mark.parametrize(
    ("boxes", "r40"),
    [(1, 0.0), (2, 2.5), (3, 5.0), (5, 10.0), (10, 22.5), (20, 47.5), (40, 97.5), (41, 100), (90, 100)],
)
def test_ground_truth_as_prediction(boxes, r40):
    """``exact`` is 100 always; KITTI's sampling takes one recall point an object, of which the first does not count."""
    truth = [[car(place) for place in range(boxes)]]
    found = [scored(truth[0], [1 - place / 1000 for place in range(boxes)])]
    result = kitti_result(truth, found)
    for measure in MEASURES:
        for level in LEVELS:
            row = result.row("Car", measure, level)
            assert row.boxes == boxes
            assert row.exact == pytest.approx(100, abs=1e-9)
            assert row.r40 == pytest.approx(r40, abs=1e-9)
            assert row.r11 == pytest.approx(100 * min(11, 1 + (min(boxes, 41) - 1) // 4) / 11, abs=1e-9)
    equal = kitti_result(truth, [scored(truth[0], [0.5] * boxes)])
    assert equal.row("Car", "3d", "easy").exact == pytest.approx(100, abs=1e-9)


def test_no_predictions_score_nothing():
    result = kitti_result([[car()]], [[]])
    for measure in MEASURES:
        assert result.row("Car", measure, "easy")[4:] == (0, 0, 0)
    assert isnan(result.row("Cyclist", "bbox", "easy").exact)
    assert result.row("Cyclist", "bbox", "easy").boxes == 0


def exact(truth, found, measure="bbox", level="easy", name="Car"):
    return kitti_result([truth], [found]).row(name, measure, level).exact


def test_an_object_is_found_once():
    """The second of two detections of one object is false, of equal scores too."""
    one = scored([car()], [0.9])
    assert exact([car()], [*one, *scored([car()], [0.5])]) == 100
    assert exact([car()], [*scored([car()], [0.9]), *one]) == 50
    higher = [*scored([car(9)], [0.95]), *one]
    assert exact([car()], higher) == 50


def test_neighbouring_classes_and_ignored_objects_are_neither_right_nor_wrong():
    found = scored([car(0), car(1)], [0.5, 0.9])
    assert exact([car(0), car(1, name="Van")], found) == 100
    assert exact([car(0), car(1, name="Truck")], found) == 50
    assert exact([car(0), car(1, occluded=1)], found, level="easy") == 100
    assert kitti_result([[car(0), car(1, occluded=1)]], [found]).row("Car", "bbox", "moderate").boxes == 2
    assert exact([car(0), car(1, truncated=0.16)], found) == 100
    person, sitting = car(0, name="Pedestrian"), car(1, name="Person_sitting")
    people = [replace(one, name="Pedestrian") for one in found]
    assert exact([person, sitting], people, name="Pedestrian") == 100


def test_the_lowest_height_counts_and_what_is_lower_does_not():
    short = car(0, box_2d=(0.0, 100, 30, 140))
    assert kitti_result([[short]], [[]]).row("Car", "bbox", "easy").boxes == 1
    lower = car(0, box_2d=(0.0, 100, 30, 139.9))
    assert kitti_result([[lower]], [[]]).row("Car", "bbox", "easy").boxes == 0
    # A low detection of no object is not false, one of an object does not find it, and takes it from none.
    extra = replace(lower, box_2d=(500.0, 100, 530, 139.9), location=(90.0, 1.6, 20))
    assert exact([car(1)], scored([car(1), extra], [0.5, 0.9])) == 100
    assert exact([short], scored([lower], [0.9])) == 0


def test_regions_not_to_care_about_count_in_the_image_alone():
    region = KittiLabel("DontCare", -1.0, -1, -10.0, (380.0, 90, 425, 160), (-1, -1, -1), (-1000, -1000, -1000), -10.0)
    found = scored([car(0), car(10)], [0.5, 0.9])
    assert exact([car(0)], found) == 50
    assert exact([car(0), region], found) == 100
    assert exact([car(0), region], found, "bev") == 50
    half = replace(region, box_2d=(380.0, 90, 415, 160))
    assert exact([car(0), half], found) == 50


def test_orientation_weighs_what_is_found():
    truth = [car(place) for place in range(50)]
    found = scored([replace(one, alpha=one.alpha + pi / 2) for one in truth], [0.5] * 50)
    result = kitti_result([truth], [found])
    assert result.row("Car", "aos", "easy").exact == pytest.approx(50)
    assert result.row("Car", "bbox", "easy").exact == pytest.approx(100)
    unknown = kitti_result([truth], [[*found[1:], replace(found[0], alpha=-10.0)]])
    assert isnan(unknown.row("Car", "aos", "easy").exact)


def test_measures_are_those_asked_for():
    truth, found = [[car()]], [scored([car()], [0.9])]
    whole = kitti_result(truth, found)
    for measures in (("aos",), ("3d", "bbox"), ("bev",)):
        part = kitti_result(truth, found, measures=measures)
        assert [row.measure for row in part.rows[::3]] == [*measures] * 3
        for row in part.rows:
            assert repr(row) == repr(whole.row(*row[:3]))


def test_classes_are_compared_without_regard_to_capitals():
    assert exact([car()], [car(name="car", score=0.5)]) == 100
    truth, found = [car(0, name="CAR"), car(1, name="van")], scored([car(0), car(1)], [0.5, 0.9])
    assert kitti_result([truth], [found], min_overlap={"car": 0.7}).row("car", "bbox", "easy").exact == 100


def test_the_table_names_what_it_shows():
    text = kitti_result(
        [[car(place) for place in range(3)]], [scored([car(place) for place in range(3)], [0.9] * 3)]
    ).table()
    lines = text.splitlines()
    assert lines[0].split() == ["class", "measure", "level", "boxes", "R11", "R40", "exact"]
    assert lines[1].split() == ["Car", "bbox", "easy", "3", "9.09", "5.00", "100.00"]
    assert ["Cyclist", "aos", "hard", "0", "-", "-", "-"] in [line.split() for line in lines]
    assert lines[-1] == "percent, over 1 frames"


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ConfigError, match="1 of 2 frames have no labels"):
        kitti_result([[car()], None], [[], []])
    with pytest.raises(
        ConfigError,
        match="0 of 1 frames have no labels, and the others hold 1 classes, of which one of Car, Pedestrian",
    ):
        kitti_result([[car(name="Truck")]], [[]])
    with pytest.raises(ConfigError, match="0 of 0 frames have no labels, and the others hold 0 classes"):
        kitti_result([], [])
    with pytest.raises(ConfigError, match="got 1 of ground truth, 2 of predictions"):
        kitti_result([[car()]], [[], []])
    with pytest.raises(ConfigError, match="000007: 1 of 2 detections have no finite score, first row 1"):
        kitti_result([[car()]], [[car(score=0.5), car()]], sources=["000007"])
    with pytest.raises(ConfigError, match="first row 0"):
        kitti_result([[car()]], [[car(score=float("nan"))]])
    with pytest.raises(BoxError, match="1 of 1 detections of frame 0"):
        kitti_result([[car()]], [[car(score=0.5, size=(-1.0, 1, 1))]])
    with pytest.raises(ConfigError, match="measures are some of bbox, bev, 3d and aos, got iou"):
        kitti_result([[car()]], [[]], measures=("bbox", "iou"))
    with pytest.raises(KeyError, match="no row Car, bbox, medium"):
        kitti_result([[car()]], [[]]).row("Car", "bbox", "medium")
