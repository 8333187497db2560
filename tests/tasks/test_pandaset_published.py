import gzip
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from oracles.pandas_pickle import write_table
from spikevox.tasks.datasets.axes import quaternion_from_matrix
from spikevox.tasks.datasets.check import check_folder
from spikevox.tasks.datasets.pandaset import PandaSet
from spikevox.tasks.datasets.pandaset_writer import write_pandaset
from spikevox.tasks.datasets.restricted_pickle import read_table
from spikevox.tasks.errors import DataFileError


def publish(folder, frames):
    """Frames, x forward, in the published layout: each number turned by hand into y forward and into the world."""
    poses, times = [], []
    for place, frame in enumerate(frames):
        world = frame.points[:, :3].astype(np.float64) @ frame.pose[:3, :3].T + frame.pose[:3, 3]
        points = {axis: world[:, column].copy() for column, axis in enumerate("xyz")}
        points["i"] = frame.points[:, 3].astype(np.float64)
        points["t"] = np.full(len(world), frame.time)
        points["d"] = frame.points[:, 4].astype(np.int64)
        write_table(folder / f"lidar/{place:02d}.pkl.gz", points)
        write_table(folder / f"annotations/semseg/{place:02d}.pkl.gz", {"class": frame.labels})
        boxes = frame.boxes
        middles = boxes.centers @ frame.pose[:3, :3].T + frame.pose[:3, 3]
        yaws = []
        for yaw in boxes.yaw:
            x, y, _ = frame.pose[:3, :3] @ [math.cos(yaw), math.sin(yaw), 0]
            yaws.append(math.atan2(-x, y))
        cuboids = {
            "uuid": np.array(boxes.identities, dtype=object),
            "label": np.array(boxes.names, dtype=object),
            "yaw": np.array(yaws),
            "stationary": np.ones(len(yaws), dtype=bool),
            **{f"position.{axis}": middles[:, column].copy() for column, axis in enumerate("xyz")},
            "dimensions.x": boxes.sizes[:, 1].copy(),
            "dimensions.y": boxes.sizes[:, 0].copy(),
            "dimensions.z": boxes.sizes[:, 2].copy(),
            "cuboids.sensor_id": np.arange(len(yaws)) % 3 - 1,
        }
        write_table(folder / f"annotations/cuboids/{place:02d}.pkl.gz", cuboids)
        # Their x axis is our -y axis, their y axis our x axis.
        rotation = np.stack([-frame.pose[:3, 1], frame.pose[:3, 0], frame.pose[:3, 2]], axis=1)
        heading = dict(zip("wxyz", quaternion_from_matrix(rotation).tolist(), strict=True))
        poses.append({"position": dict(zip("xyz", frame.pose[:3, 3].tolist(), strict=True)), "heading": heading})
        times.append(frame.time)
    (folder / "lidar/poses.json").write_text(json.dumps(poses))
    (folder / "lidar/timestamps.json").write_text(json.dumps(times))


@pytest.fixture
def made():
    from spikevox.tasks.datasets.frame import Boxes, LidarFrame

    frames = []
    for seed in range(2):
        generator = np.random.default_rng(seed)
        points = np.column_stack(
            [generator.normal(0, 40, (150, 3)), generator.integers(0, 256, 150), generator.integers(0, 2, 150)]
        ).astype(np.float32)
        boxes = Boxes(
            generator.normal(0, 20, (6, 3)),
            generator.uniform(0.5, 5, (6, 3)),
            generator.uniform(-3, 3, 6),
            ("Car", "Bus", "Car", "Cones", "Car", "Pedestrian"),
            tuple(f"id {row}" for row in range(6)),
        )
        pose = np.eye(4)
        pose[:2, :2] = [[math.cos(seed + 1), -math.sin(seed + 1)], [math.sin(seed + 1), math.cos(seed + 1)]]
        pose[:3, 3] = generator.normal(0, 100, 3)
        columns = ("x", "y", "z", "intensity", "sensor")
        labels = generator.integers(0, 43, 150)
        frames.append(LidarFrame(points, columns, "made", labels, None, boxes, pose, 1.5e9 + 0.1 * seed))
    return frames


@pytest.fixture
def root(tmp_path, made):
    publish(tmp_path / "002", made)
    return tmp_path


def compare(frame, want, *, yaw=1e-9):
    np.testing.assert_allclose(frame.points, want.points, atol=2e-5)  # float32 at 200 m
    assert np.array_equal(frame.points[:, 3:], want.points[:, 3:])
    assert np.array_equal(frame.labels, want.labels)
    np.testing.assert_allclose(frame.boxes.centers, want.boxes.centers, atol=1e-6)
    assert np.array_equal(frame.boxes.sizes, want.boxes.sizes)
    np.testing.assert_allclose(np.exp(1j * frame.boxes.yaw), np.exp(1j * want.boxes.yaw), atol=yaw)
    assert (frame.boxes.names, frame.boxes.identities) == (want.boxes.names, want.boxes.identities)
    np.testing.assert_allclose(frame.pose, want.pose, atol=1e-9)
    assert frame.time == want.time


def test_published_frames_are_read_into_the_vehicle_s_coordinates(root, made):
    data = PandaSet(root)
    assert data.frames == ("002/00", "002/01")
    for index, want in enumerate(made):
        compare(data.frame(index), want)


def test_what_is_written_is_what_a_hand_made_folder_holds(root, made, tmp_path):
    write_pandaset(tmp_path / "written", "002", iter(made))
    data = PandaSet(tmp_path / "written")
    for index, want in enumerate(made):
        compare(data.frame(index), want)
    for path in sorted((root / "002").rglob("*.pkl.gz")):
        table = read_table(tmp_path / "written" / path.relative_to(root))
        for name, column in read_table(path).items():
            if name in ("uuid", "label"):
                assert table[name].tolist() == column.tolist()
            elif name != "cuboids.sensor_id":
                np.testing.assert_allclose(table[name], column, rtol=0, atol=1e-9)
    for name in ("poses.json", "timestamps.json"):
        hand, own = (json.loads((r / "002/lidar" / name).read_text()) for r in (root, tmp_path / "written"))
        assert own == hand
    assert check_folder(tmp_path / "written").findings == []


def test_boxes_that_stand_are_stationary(made, tmp_path):
    speeds = np.array([[0, 0], [1, 0], [np.nan, np.nan], [0, -2], [0, 0], [0, 0]], dtype=np.float64)
    write_pandaset(tmp_path, "002", [replace(made[0], boxes=replace(made[0].boxes, velocities=speeds))])
    table = read_table(tmp_path / "002/annotations/cuboids/00.pkl.gz")
    assert table["stationary"].tolist() == [True, False, True, False, True, True]


@pytest.mark.parametrize("part", ["labels", "boxes", "pose", "time"])
def test_a_frame_that_lacks_a_part_is_not_written(made, tmp_path, part):
    with pytest.raises(
        DataFileError, match=r"01\.pkl\.gz: a frame needs the columns .* labels, boxes, a pose and a time"
    ):
        write_pandaset(tmp_path, "002", [made[0], replace(made[1], **{part: None})])


def test_one_sensor_has_its_points_and_not_the_other_s_boxes(root, made):
    frame = PandaSet(root, sensor=0).frame(1)
    kept = made[1].points[:, 4] == 0
    assert np.array_equal(frame.labels, made[1].labels[kept])
    # The file gives -1, 0, 1, -1, 0, 1 as the boxes' sensors.
    assert frame.boxes.identities == ("id 0", "id 1", "id 3", "id 4")


@pytest.mark.data
def test_a_real_frame_is_the_same_in_both_layouts(data, tmp_path):
    compact = PandaSet(data("pandaset")).frame(2)
    publish(tmp_path / "002", [compact])
    # The world's boxes are upright, the vehicle's nearly so.
    compare(PandaSet(tmp_path).frame(0), compact, yaw=2e-3)


def _unpacked(path, change):
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))


@pytest.mark.parametrize(
    ("name", "fault", "message"),
    [
        (
            "lidar/01.pkl.gz",
            lambda p: p.write_bytes(p.read_bytes()[:500]),
            r"lidar/01\.pkl\.gz cannot be read.*truncated",
        ),
        ("lidar/01.pkl.gz", lambda p: p.write_bytes(b""), r"lidar/01\.pkl\.gz is empty"),
        (
            "lidar/01.pkl.gz",
            lambda p: _unpacked(p, lambda b: b.replace(b"pandas.core.frame", b"os.path.something")),
            r"lidar/01\.pkl\.gz was not read: it asks for os\.path\.something\.DataFrame",
        ),
        (
            "lidar/01.pkl.gz",
            lambda p: write_table(p, {"x": np.zeros(3)}),
            r"lidar/01\.pkl\.gz lacks the columns y, z, i, d; it has x",
        ),
        (
            "lidar/01.pkl.gz",
            lambda p: write_table(p, {**dict.fromkeys("xyzi", np.full(150, np.nan)), "d": np.zeros(150)}),
            r"lidar/01\.pkl\.gz: 150 of 150 points have NaN",
        ),
        ("lidar/poses.json", lambda p: p.write_text(p.read_text()[:-5]), r"poses\.json is no json.*truncated"),
        ("lidar/poses.json", lambda p: p.write_text("[{}]"), r"poses\.json has no entry for scan 1"),
        ("lidar/poses.json", lambda p: p.write_text("[{}, {}]"), r"poses\.json, entry 1: no heading and position"),
        ("lidar/timestamps.json", lambda p: p.write_text('[1, "a"]'), r"entry 1: expected seconds, got 'a'"),
        ("annotations/semseg/01.pkl.gz", lambda p: p.unlink(), r"semseg/01\.pkl\.gz is not there"),
        (
            "annotations/semseg/01.pkl.gz",
            lambda p: write_table(p, {"class": np.ones(149, np.int64)}),
            r"semseg/01\.pkl\.gz has 149 labels and its scan 150 points",
        ),
        (
            "annotations/semseg/01.pkl.gz",
            lambda p: write_table(p, {"class": np.full(150, 43)}),
            r"semseg/01\.pkl\.gz: unknown label numbers 43 \(150 points\)",
        ),
        ("annotations/cuboids/01.pkl.gz", lambda p: p.unlink(), r"cuboids/01\.pkl\.gz is not there"),
    ],
)
def test_a_damaged_file_is_named_and_the_check_finds_it(root, name, fault, message):
    fault(root / "002" / name)
    with pytest.raises(DataFileError, match=message):
        PandaSet(root).frame(1)
    report = check_folder(root)
    assert any(message.split(r"\.")[0].split("/")[-1] in finding for finding in report.findings)
    assert report.files == 2


def test_stray_annotations_are_listed(root):
    assert check_folder(root).findings == []
    (root / "002/annotations/semseg/07.pkl.gz").write_bytes((root / "002/annotations/semseg/01.pkl.gz").read_bytes())
    (finding,) = check_folder(root).findings
    assert "07.pkl.gz has no partner" in finding
