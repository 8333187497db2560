from dataclasses import replace

import numpy as np
import pytest

from spikevox.tasks.datasets import (
    BOXED_CLASSES,
    CITY,
    HDL64,
    PANDAR64,
    PANDASET_CLASSES,
    SEMANTICKITTI_CLASSES,
    STREET_CLASSES,
    SUBURB,
    TO_PANDASET,
    TO_SEMANTICKITTI,
    Street,
    street_frame,
)
from spikevox.tasks.datasets.frame import check_frame
from spikevox.tasks.datasets.street import classes
from spikevox.tasks.datasets.street.objects import MAKERS
from spikevox.tasks.datasets.street.scene import FRAME_TIME

COARSE = replace(PANDAR64, steps=600)
GROUND = ("road", "lane_marking", "parking", "sidewalk", "terrain", "other_ground")


def world(frame, chosen):
    return frame.points[chosen, :3].astype(np.float64) @ frame.pose[:3, :3].T + frame.pose[:3, 3]


def in_box(frame, box, points):
    """Coordinates along the box's own axes, from its middle."""
    moved = points[:, :3] - frame.boxes.centers[box]
    c, s = np.cos(frame.boxes.yaw[box]), np.sin(frame.boxes.yaw[box])
    return np.stack([moved[:, 0] * c + moved[:, 1] * s, moved[:, 1] * c - moved[:, 0] * s, moved[:, 2]], axis=1)


def moving_street():
    """One whose road bends: after some seconds the vehicle looks another way than the street."""
    return next(s for s in map(coarse, range(20)) if s.layout.speed > 5 and abs(s.layout.ground.bend) > 5e-4)


def late_index(street):
    """Frame at which the vehicle has come 80 m."""
    return int(80 / street.layout.speed / FRAME_TIME)


def coarse(seed):
    return Street(seed, lidar=COARSE)


def test_the_same_seed_makes_the_same_frames_in_any_order():
    one, other = coarse(3), coarse(3)
    later = one.frame(4)
    frame = one.frame(0)
    again = other.frame(0)
    for name in ("points", "labels", "instances", "pose"):
        assert np.array_equal(getattr(frame, name), getattr(again, name))
    assert np.array_equal(other.frame(4).points, later.points)
    assert np.array_equal(street_frame(3, 4, lidar=COARSE).points, later.points)
    assert len(street_frame(4, lidar=COARSE).points) != len(frame.points)


@pytest.mark.parametrize(("lidar", "style"), [(COARSE, CITY), (replace(HDL64, steps=500), SUBURB)])
def test_frames_are_whole_and_within_range(lidar, style):
    frame = check_frame(street_frame(1, 2, lidar=lidar, style=style))
    assert frame.source == "street_1/0002"
    assert frame.time == pytest.approx(0.2)
    away = np.linalg.norm(frame.points[:, :3], axis=1)[frame.labels != STREET_CLASSES.index("reflection")]
    assert lidar.min_range - 0.2 < away.min() < away.max() < lidar.max_range + 0.2
    assert frame.points[:, 3].min() >= 0
    assert frame.points[:, 3].max() <= 1
    assert (frame.labels >= 0).all()
    assert set(frame.boxes.names) <= set(BOXED_CLASSES)


def test_points_of_an_object_lie_on_it_and_in_its_box():
    bent = moving_street()
    assert abs(np.arctan2(*bent.pose(late_index(bent) * FRAME_TIME)[[1, 0], 0])) > np.radians(2)
    for frame in (*(coarse(seed).frame(0) for seed in range(6)), bent.frame(late_index(bent))):
        for instance in np.unique(frame.instances[frame.instances > 0]):
            points = frame.points[frame.instances == instance]
            own = in_box(frame, instance - 1, points)
            # Range noise of 2 cm: 5 standard deviations.
            outside = np.abs(own) - frame.boxes.sizes[instance - 1] / 2
            assert outside.max() < 0.1, frame.boxes.names[instance - 1]
            assert frame.boxes.identities[instance - 1] == str(instance)
            names = {STREET_CLASSES[label] for label in np.unique(frame.labels[frame.instances == instance])}
            assert names == {frame.boxes.names[instance - 1]}


def test_points_within_a_box_belong_to_its_object():
    for seed in range(6):
        frame = coarse(seed).frame(0)
        found = wrong = 0
        for box in range(len(frame.boxes)):
            # Smaller by 10 cm a side: the noise of the ground and of neighbours.
            inner = (np.abs(in_box(frame, box, frame.points)) < frame.boxes.sizes[box] / 2 - 0.1).all(axis=1)
            # Leaves may hang over anything.
            inner &= ~np.isin(frame.labels, [STREET_CLASSES.index(name) for name in ("vegetation", "reflection")])
            found += inner.sum()
            wrong += (frame.instances[inner] != box + 1).sum()
        assert found > 100
        assert wrong <= 0.002 * found


def test_each_ray_returns_once():
    lidar = replace(COARSE, range_noise=0.0, sees_roof=False)
    frame = street_frame(2, lidar=lidar)
    x, y, z = frame.points[:, :3].astype(np.float64).T
    beam = np.abs(np.arctan2(z, np.hypot(x, y))[:, None] - np.radians(lidar.elevations)).argmin(axis=1)
    step = np.floor((np.arctan2(y, x) + np.pi) / (2 * np.pi) * lidar.steps).astype(int)
    assert len(np.unique(beam * lidar.steps + step)) == len(frame.points)


def test_the_ground_stays_in_place_while_the_vehicle_drives():
    street = moving_street()
    for index in (0, 7):
        frame = street.frame(index)
        lying = np.isin(frame.labels, [STREET_CLASSES.index(name) for name in GROUND])
        points = world(frame, lying)
        above = points[:, 2] - street.layout.ground.height(points[:, 0], points[:, 1])
        # Noise along the ray is seldom as steep as a kerb.
        assert np.quantile(np.abs(above), 0.98) < 0.05
    assert np.linalg.norm(street.pose(0.7)[:3, 3] - street.pose(0)[:3, 3]) == pytest.approx(
        0.7 * street.layout.speed, rel=0.02
    )


def test_boxes_move_with_their_velocities_and_parked_ones_do_not():
    street = moving_street()
    index = late_index(street)
    first, later = street.frame(index), street.frame(index + 1)
    assert first.boxes.identities == later.boxes.identities
    before = first.boxes.centers @ first.pose[:3, :3].T + first.pose[:3, 3]
    after = later.boxes.centers @ later.pose[:3, :3].T + later.pose[:3, 3]
    velocity = first.boxes.velocities @ first.pose[:2, :2].T
    np.testing.assert_allclose((after - before)[:, :2], velocity * FRAME_TIME, atol=0.02)
    still = ~first.boxes.velocities.any(axis=1)
    assert 0 < still.sum() < len(still)
    np.testing.assert_array_equal(before[still].round(9), after[still].round(9))


def test_static_surfaces_of_two_frames_agree_in_the_world():
    street = moving_street()
    building = STREET_CLASSES.index("building")
    clouds = [world(frame, frame.labels == building) for frame in (street.frame(0), street.frame(3))]
    near = [cloud[np.abs(cloud[:, 0]) < 25][:400] for cloud in clouds]
    gaps = np.linalg.norm(near[0][:, None] - clouds[1][None], axis=2).min(axis=1)
    # Fronts are sampled every few centimetres there.
    assert np.median(gaps) < 0.25


def test_every_class_is_seen_in_twenty_streets():
    seen = np.zeros(len(STREET_CLASSES), dtype=np.int64)
    for seed in range(20):
        seen += np.bincount(street_frame(seed, lidar=COARSE).labels, minlength=len(STREET_CLASSES))
    assert [name for name, count in zip(STREET_CLASSES, seen, strict=True) if count == 0] == []


@pytest.mark.parametrize("name", MAKERS)
def test_parts_lie_in_the_box_of_their_object(name):
    for seed in range(5):
        shape = MAKERS[name](np.random.default_rng(seed))
        for part in shape.parts:
            low, high = np.array(part.center) - np.array(part.size) / 2, np.array(part.center) + np.array(part.size) / 2
            assert (low >= np.array([-shape.size[0] / 2, -shape.size[1] / 2, 0]) - 0.02).all(), part
            assert (high <= np.array([shape.size[0] / 2, shape.size[1] / 2, shape.size[2]]) + 0.02).all(), part


def test_classes_map_onto_those_of_both_data_sets():
    assert len(PANDASET_CLASSES) == 14
    assert len(SEMANTICKITTI_CLASSES) == 19
    for numbers, names in ((TO_PANDASET, PANDASET_CLASSES), (TO_SEMANTICKITTI, SEMANTICKITTI_CLASSES)):
        assert set(numbers[numbers >= 0]) == set(range(len(names)))


def test_classes_are_called_as_the_page_of_their_module_says():
    rows = [line.strip("| ").split(" | ") for line in classes.__doc__.splitlines() if line.startswith("| ")][2:]
    pandaset, semantickitti = [*PANDASET_CLASSES, "-"], [*SEMANTICKITTI_CLASSES, "-"]
    assert rows == [
        [str(number), name, pandaset[TO_PANDASET[number]], semantickitti[TO_SEMANTICKITTI[number]]]
        for number, name in enumerate(STREET_CLASSES)
    ]


def test_frames_beyond_the_street_are_refused():
    street = moving_street()
    with pytest.raises(IndexError, match="frame -1 of street"):
        street.frame(-1)
    with pytest.raises(IndexError, match="has left the street"):
        street.frame(1000)
