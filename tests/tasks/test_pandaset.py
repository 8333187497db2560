import math

import numpy as np
import pytest

from spikevox.tasks.datasets.frame import Boxes, LidarFrame
from spikevox.tasks.datasets.pandaset import COLUMNS, PandaSet, write_pandaset_frame
from spikevox.tasks.datasets.pandaset_label import FOURTEEN, LABEL_NAMES, SIX, merge_classes
from spikevox.tasks.errors import ConfigError, DataFileError


def made_frame(seed, count=300):
    generator = np.random.default_rng(seed)
    xyz = (generator.integers(-9000, 9000, (count, 3)).astype(np.float32) / np.float32(100)).astype(np.float32)
    rest = np.stack([generator.integers(0, 256, count), generator.integers(0, 2, count)], axis=1)
    boxes = Boxes(
        generator.normal(0, 20, (7, 3)),
        generator.uniform(0.5, 5, (7, 3)),
        generator.uniform(-3, 3, 7),
        ("Car", "Bus", "Car", "Cones", "Car", "Pedestrian", "Car"),
        tuple(f"id {row}" for row in range(7)),
    )
    pose = np.eye(4)
    pose[:2, :2] = [[math.cos(seed), -math.sin(seed)], [math.sin(seed), math.cos(seed)]]
    pose[:3, 3] = generator.normal(0, 100, 3)
    points = np.concatenate([xyz, rest], axis=1).astype(np.float32)
    return LidarFrame(points, COLUMNS, "made", generator.integers(0, 43, count), None, boxes, pose, 1.5e9 + 0.1 * seed)


@pytest.fixture
def root(tmp_path):
    for scan in range(2):
        write_pandaset_frame(tmp_path, "002", scan, made_frame(scan))
    return tmp_path


def test_what_is_written_is_read_back_exactly(root):
    data = PandaSet(root)
    assert data.frames == ("002/00", "002/01")
    for index in range(2):
        frame, made = data.frame(index), made_frame(index)
        assert frame.points.tobytes() == made.points.tobytes()
        assert np.array_equal(frame.labels, made.labels)
        assert np.array_equal(frame.boxes.centers, made.boxes.centers)
        assert np.array_equal(frame.boxes.sizes, made.boxes.sizes)
        assert np.array_equal(frame.boxes.yaw, made.boxes.yaw)
        assert (frame.boxes.names, frame.boxes.identities) == (made.boxes.names, made.boxes.identities)
        assert np.array_equal(frame.pose, made.pose)
        assert frame.time == made.time


def test_one_sensor_alone(root):
    both = PandaSet(root).frame(0)
    for sensor in (0, 1):
        alone = PandaSet(root, sensor=sensor).frame(0)
        kept = both.points[:, 4] == sensor
        assert 0 < kept.sum() < len(kept)
        assert np.array_equal(alone.points, both.points[kept])
        assert np.array_equal(alone.labels, both.labels[kept])
    with pytest.raises(ConfigError, match="sensor is 0"):
        PandaSet(root, sensor=2)


@pytest.mark.data
def test_boxes_hold_as_many_points_as_the_file_counts(data):
    source = PandaSet(data("pandaset"))
    frame = source.frame(0)
    with np.load(data("pandaset/002/00.npz")) as file:
        counted, raw, rotation, position = (file[k] for k in ("box_npts", "xyz_cm", "ego_rot", "ego_pos"))
    inside = []
    for box in range(len(counted)):
        one = Boxes(frame.boxes.centers[[box]], frame.boxes.sizes[[box]], frame.boxes.yaw[[box]], ("x",))
        inside.append(int((one.contain(frame.points) == 0).sum()))
    # The file counts points before they are rounded to centimetres; those of the road lie where the boxes end.
    assert np.abs(np.array(inside) - counted).sum() < 0.02 * counted.sum()
    assert np.array_equal(frame.boxes.count_points(frame.points), inside)
    theirs = raw[::1000].astype(np.float64) / 100 @ rotation.T + position
    ours = frame.points[::1000, :3].astype(np.float64) @ frame.pose[:3, :3].T + frame.pose[:3, 3]
    np.testing.assert_allclose(ours, theirs, atol=1e-4)  # float32 at 200 m


@pytest.mark.data
def test_real_frames_survive_a_copy(data, tmp_path):
    frame = PandaSet(data("pandaset")).frame(3)
    write_pandaset_frame(tmp_path, "002", 12, frame)
    copy = PandaSet(tmp_path).frame(0)
    assert copy.points.tobytes() == frame.points.tobytes()
    for name in ("centers", "sizes", "yaw", "names", "identities"):
        assert np.array_equal(getattr(copy.boxes, name), getattr(frame.boxes, name))
    np.testing.assert_allclose(copy.pose, frame.pose, rtol=0, atol=0)
    # Where a point of the road is, it is low; the vehicle drives forward, along x.
    assert np.median(frame.points[frame.labels == 7, 2]) < 0.5
    moved = np.linalg.inv(PandaSet(data("pandaset")).frame(0).pose) @ frame.pose
    assert moved[0, 3] >= abs(moved[1, 3]) - 0.01


def test_merged_classes_take_their_numbers_and_no_other():
    numbers = np.array(list(LABEL_NAMES))
    for count, table in ((14, FOURTEEN), (6, SIX)):
        names = list(table)
        for number, merged in zip(numbers.tolist(), merge_classes(numbers, count).tolist(), strict=True):
            takers = [name for name in names if number in table[name]]
            assert ([names[merged]] if merged >= 0 else []) == takers
    assert len(FOURTEEN) == 14
    assert len(SIX) == 6
    with pytest.raises(ConfigError, match="6 or 14, got 9"):
        merge_classes(numbers, 9)
    with pytest.raises(ValueError, match="0 to 42, got 43 to 43"):
        merge_classes(np.array([43]))


def _save(path, **changed):
    with np.load(path) as file:
        arrays = dict(file)
    arrays.update(changed)
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:900]), r"01\.npz cannot be read as npz.*truncated"),
        (lambda p: p.write_bytes(b""), r"01\.npz cannot be read as npz"),
        (lambda p: _save(p, semseg=None), r"01\.npz lacks the arrays semseg"),
        (lambda p: _save(p, semseg=np.zeros(3, np.uint8)), r"01\.npz: arrays differ in length: .*'semseg': 3"),
        (lambda p: _save(p, semseg=np.full(300, 77, np.uint8)), r"01\.npz: unknown label numbers 77 \(300 points"),
        (lambda p: _save(p, box_yaw=np.full(7, np.nan)), r"01\.npz: box 0 has a size or place that is not finite"),
        (lambda p: _save(p, box_yaw=np.zeros(2)), r"01\.npz: arrays differ in length: .*'box_yaw': 2"),
        (lambda p: _save(p, ego_rot=np.eye(4)), r"01\.npz: expected ego_rot of shape \(3, 3\), got \(4, 4\)"),
    ],
)
def test_a_damaged_file_is_named(root, fault, message):
    fault(root / "002/01.npz")
    with pytest.raises(DataFileError, match=message):
        PandaSet(root).frame(1)


def test_what_does_not_fit_is_not_written(tmp_path):
    frame = made_frame(0)
    frame.points[5, 0] = 400
    with pytest.raises(DataFileError, match=r"within 327\.67 m"):
        write_pandaset_frame(tmp_path, "002", 0, frame)
    assert not list(tmp_path.rglob("*.npz"))
