"""Generated streets read as a data set is."""

import numpy as np
import pytest

from spikevox.tasks.datasets import HDL64, LabelledFrames, Street, StreetFrames
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "expected a count from 1"),
        ({"count": 1, "first_seed": -1}, "a first_seed and a sweep from 0, got 1, -1 and 0"),
        ({"count": 1, "sensor": "vlp16"}, "unknown sensor 'vlp16'; there are pandar64, hdl64"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        StreetFrames(**options)
