import numpy as np
import pytest

from spikevox.tasks.datasets import Boxes, Facts, LidarFrame, street_facts
from spikevox.tasks.datasets.street.statistics import hidden_shares, within
from spikevox.tasks.errors import DataFileError


def cars(*centers):
    count = len(centers)
    sizes = np.tile([4.0, 2.0, 2.0], (count, 1))
    return Boxes(np.array(centers, dtype=np.float64), sizes, np.zeros(count), ("car",) * count)


def frame(points, boxes=None, labels=None):
    return LidarFrame(
        np.asarray(points, dtype=np.float32), ("x", "y", "z", "intensity"), "made", labels=labels, boxes=boxes
    )


def test_facts_of_points_counted_by_hand():
    points = [[3, 0, 0, 0.1], [0, 7, 0, 0.2], [0, -15, 0, 0.3], [10, 0, 0.6, 0.4]]
    facts = street_facts([frame(points, labels=np.array([0, 0, 1, -1]))] * 2, ("near", "far", "none")).values
    assert facts["points a scan"] == 4
    assert facts["share of points, range 0 to 5 m"] == 0.25
    assert facts["share of points, range 10 to 20 m"] == 0.5
    assert facts["share of points, elevation 2.4 to 5.6 degrees"] == 0.25
    assert facts["intensity, all points"] == pytest.approx(0.25)
    assert facts["intensity, near"] == pytest.approx(0.15)
    assert facts["intensity, far"] == pytest.approx(0.3)
    assert "intensity, none" not in facts
    assert not any("a frame" in name for name in facts)


def test_facts_of_objects_counted_by_hand():
    """One car with 30 points at 10 m, one with a single point at 25 m, one without points."""
    near = np.column_stack([np.full(30, 9.0), np.linspace(-0.9, 0.9, 30), np.zeros(30), np.zeros(30)])
    points = np.concatenate([near, [[25.0, 10.0, 0.0, 0.0]]])
    facts = street_facts([frame(points, cars((10, 0, 0), (25, 10, 0), (-30, 0, 0)))]).values
    assert facts["car a frame"] == 2
    assert facts["points a car, 10 to 20 m"] == 30
    assert facts["points a car, 20 to 30 m"] == 1
    assert "points a car, 30 to 40 m" not in facts
    assert facts["share of objects under 20 points"] == 0.5
    assert facts["share of objects mostly hidden"] == 0


def test_the_hidden_share_counts_returns_in_front():
    boxes = cars((20, 0, 0), (-20, 0, 0))
    before = [[10.0, y, 0.1] for y in np.linspace(-0.3, 0.3, 6)]
    on = [[18.2, y, 0.1] for y in np.linspace(-0.3, 0.3, 2)]
    beside = [[10.0, y, 0.1] for y in (5.0, -5.0)]
    ground = [[10.0, 0.0, -1.5]]
    points = np.array(before + on + beside + ground)
    assert hidden_shares(points, boxes, np.array([0, 1])).tolist() == [0.75, 0.0]


def test_facts_that_only_one_side_tells_have_no_ratio():
    ratios = Facts({"a": 3.0, "b": 1.0, "c": 1.0}).ratios(Facts({"a": 2.0, "c": 0.0}))
    assert ratios == {"a": 1.5}
    assert within(1.5)
    assert within(1 / 1.5)
    assert not within(1.51)
    assert not within(0.66)


def test_no_frames_no_facts():
    with pytest.raises(DataFileError, match="no frames"):
        street_facts([])
