"""Generated streets read as a data set is."""

import numpy as np
import pytest

from spikevox.tasks.datasets import HDL64, STREET_CLASSES, SUBURB, LabelledFrames, Street, StreetFrames
from spikevox.tasks.datasets.pandaset_label import FOURTEEN
from spikevox.tasks.datasets.semantickitti_label import CLASSES
from spikevox.tasks.errors import ConfigError

VOXELS = {"grid": {"voxel_size": 0.5, "origin": "minimum"}, "columns": ("x", "y", "z", "intensity"), "features": ("z",)}


def test_frames_are_those_of_the_streets_of_their_seeds():
    streets = StreetFrames(3, first_seed=5, sensor="hdl64", sweep=2)
    expected = Street(6, lidar=HDL64).frame(2)
    found = streets.frame(1)
    assert len(streets) == 3
    assert streets.frames[1] == "0006/0002"
    np.testing.assert_array_equal(found.points, expected.points)
    np.testing.assert_array_equal(found.labels, expected.labels)
    with pytest.raises(IndexError):
        streets.frame(3)


def test_streets_are_learned_from_like_any_data_set():
    classes = {"vehicle": (16, 17, 18, 19, 20, 21), "ground": (0, 1, 2, 3, 4, 5)}
    data = LabelledFrames(StreetFrames(1), classes=classes, **VOXELS)
    cloud = data.cloud(0)
    raw = Street(0).frame(0).labels
    np.testing.assert_array_equal(cloud.labels, np.where(raw <= 5, 1, np.where((raw >= 16) & (raw <= 21), 0, -1)))
    assert (cloud.voxels.labels == 0).any()
    assert data.frame_name(0, data.read(0)) == "0000/0000"


# Numbers of the data sets' own tables, by class of the generator.
WRITTEN = {
    "pandaset": {
        "road": 7,
        "terrain": 6,
        "lane_marking": 8,
        "van": 13,
        "pickup": 14,
        "pedestrian": 30,
        "wall": 42,
        "bus": 23,
    },
    "semantickitti": {"road": 40, "lane_marking": 60, "terrain": 72, "wall": 51, "van": 10, "bus": 13, "cone": 99},
}


@pytest.mark.parametrize("labels", ["pandaset", "semantickitti"])
def test_labels_are_written_in_the_numbers_of_a_data_set(labels):
    own, found = StreetFrames(1).frame(0), StreetFrames(1, labels=labels).frame(0)
    np.testing.assert_array_equal(own.points, found.points)
    seen = 0
    for name, number in WRITTEN[labels].items():
        here = own.labels == STREET_CLASSES.index(name)
        assert (found.labels[here] == number).all()
        seen += here.any()
    assert seen >= 5


@pytest.mark.parametrize(("labels", "classes"), [("pandaset", FOURTEEN), ("semantickitti", CLASSES)])
def test_a_network_for_a_data_set_learns_from_streets(labels, classes):
    data = LabelledFrames(StreetFrames(1, labels=labels), classes=classes, **VOXELS)
    found = data.cloud(0).labels
    assert len(np.unique(found)) > len(classes) / 2
    # SemanticKITTI has no class for the smallest things that stand about.
    assert (found == -1).mean() < 0.25


def test_a_style_is_that_of_the_street():
    expected = Street(0, lidar=HDL64, style=SUBURB).frame(0)
    np.testing.assert_array_equal(StreetFrames(1, sensor="hdl64", style="suburb").frame(0).points, expected.points)


def test_frames_are_made_again_unless_they_are_kept():
    kept, made = StreetFrames(2, keep=True), StreetFrames(2)
    assert kept.frame(1) is kept.frame(1)
    assert made.frame(1) is not made.frame(1)
    np.testing.assert_array_equal(kept.frame(1).points, made.frame(1).points)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "expected a count from 1"),
        ({"count": 1, "first_seed": -1}, "a first_seed and a sweep from 0, got 1, -1 and 0"),
        ({"count": 1, "sensor": "vlp16"}, "unknown sensor 'vlp16'; there are pandar64, hdl64"),
        ({"count": 1, "style": "village"}, "unknown style 'village'; there are city, suburb"),
        ({"count": 1, "labels": "kitti"}, "unknown labels 'kitti'; there are street, pandaset, semantickitti"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        StreetFrames(**options)
