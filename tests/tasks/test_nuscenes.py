import json
import math
from dataclasses import replace

import numpy as np
import pytest

from oracles import nuscenes_schema
from spikevox.tasks.datasets.axes import matrix_from_quaternion, quaternion_from_matrix
from spikevox.tasks.datasets.check import check_folder
from spikevox.tasks.datasets.frame import Boxes, LidarFrame
from spikevox.tasks.datasets.nuscenes import COLUMNS, NuScenes
from spikevox.tasks.datasets.nuscenes_label import CLASSES, DETECTION_CLASS, LABEL_NAMES, merge_lidarseg
from spikevox.tasks.datasets.nuscenes_sweep import NuScenesSweeps, read_annotated_sweep
from spikevox.tasks.datasets.nuscenes_writer import write_nuscenes
from spikevox.tasks.errors import ConfigError, DataFileError

MOUNTING = np.array([[0.8, -0.6, 0.0, 0.9], [0.6, 0.8, 0.0, 0.0], [0.0, 0.0, 1.0, 1.84], [0.0, 0.0, 0.0, 1.0]])
SPEED = np.array([4.0, -3.0])


def rotation(yaw, pitch, roll):
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (math.cos, math.sin))
    turn = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return turn @ [[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]] @ [[1, 0, 0], [0, cr, -sr], [0, sr, cr]]


def made_scene(seed, sweeps=6):
    """A vehicle drives and turns among points that stand still, past one car that moves and one that stands."""
    generator = np.random.default_rng(seed)
    origin = np.array([411.3, 1180.9, 0.5])
    landscape = origin + generator.uniform(-40, 40, (200, 3))
    frames = []
    for row in range(sweeps):
        pose = np.eye(4)
        pose[:3, :3] = rotation(0.3 * row + seed, 0.02 * row, -0.03)
        pose[:3, 3] = origin + row * np.array([2.0, 0.5, 0.01])
        xyz = (landscape - pose[:3, 3]) @ pose[:3, :3]
        rest = np.stack([generator.integers(0, 256, 200), np.arange(200) % 32], axis=1)
        cars = origin + np.array([[5 + SPEED[0] * 0.2 * row, 7 + SPEED[1] * 0.2 * row, 0.0], [9, 3, 1]])
        boxes = Boxes(
            (cars - pose[:3, 3]) @ pose[:3, :3],
            np.array([[4.6, 1.9, 1.7], [12.0, 2.5, 3.0]]),
            np.array([0.5 - row, 3.0]),
            ("vehicle.car", "vehicle.truck"),
            (f"car {seed}", f"truck {seed}"),
        )
        points = np.concatenate([xyz, rest], axis=1).astype(np.float32)
        labels = generator.integers(0, 32, 200)
        frames.append(LidarFrame(points, COLUMNS, f"{seed} {row}", labels, None, boxes, pose, 1.5e9 + 0.2 * row))
    return frames


KEYS = [True, False, True, False, False, True]


@pytest.fixture
def root(tmp_path):
    scenes = {"scene-0001": made_scene(0), "scene-0002": made_scene(1)}
    keys = dict.fromkeys(scenes, KEYS)
    write_nuscenes(tmp_path, scenes, key_frames=keys, lidar_to_vehicle=MOUNTING)
    return tmp_path


def test_what_is_written_is_read_back_exactly(root):
    data = NuScenes(root)
    made = [frame for seed in (0, 1) for frame, key in zip(made_scene(seed), KEYS, strict=True) if key]
    assert len(data) == len(made) == 6
    for index, want in enumerate(made):
        frame = data.frame(index)
        assert frame.points.tobytes() == want.points.tobytes()
        assert frame.columns == ("x", "y", "z", "intensity", "ring")
        assert np.array_equal(frame.labels, want.labels)
        assert frame.time == pytest.approx(want.time, abs=1e-6)
        np.testing.assert_allclose(frame.pose, want.pose, atol=1e-9)
        assert frame.boxes.names == want.boxes.names
        np.testing.assert_allclose(frame.boxes.centers, want.boxes.centers, atol=1e-6)
        assert np.array_equal(frame.boxes.sizes, want.boxes.sizes)
        np.testing.assert_allclose(np.exp(1j * frame.boxes.yaw), np.exp(1j * want.boxes.yaw), atol=1e-9)
    assert len(NuScenes(root, scenes=["scene-0002"])) == 3
    assert NuScenes(root, "v1.0-mini").frame(0).boxes.identities == data.frame(1).boxes.identities


def test_the_tables_are_those_of_the_schema(root):
    faults = nuscenes_schema.faults(root)
    # Both scenes were made at the same time.
    assert faults == ["scene: two begin at once"]
    (root / "maps").rename(root / "elsewhere")
    assert len(nuscenes_schema.faults(root)) == 2


def test_scenes_may_be_written_one_after_the_other(root, tmp_path):
    names = {"scene-0001": 0, "scene-0002": 1}
    pairs = ((name, made_scene(seed)) for name, seed in names.items())
    out = tmp_path / "other"
    write_nuscenes(out, pairs, key_frames=dict.fromkeys(names, KEYS), lidar_to_vehicle=MOUNTING)
    for path in (root / "v1.0-mini").iterdir():
        assert (out / "v1.0-mini" / path.name).read_bytes() == path.read_bytes()


def test_sweeps_are_joined_where_the_points_stand(root):
    frame = NuScenes(root, sweeps=4).frame(2)
    assert frame.columns[-1] == "time"
    assert len(frame.points) == 4 * 200
    np.testing.assert_allclose(frame.points[::200, 5], [0, 0.2, 0.4, 0.6], atol=1e-5)
    for sweep in range(1, 4):
        joined = frame.points[200 * sweep : 200 * (sweep + 1)]
        np.testing.assert_allclose(joined[:, :3], frame.points[:200, :3], atol=0.01)
    assert np.array_equal(frame.labels[:200], NuScenes(root).frame(2).labels)
    assert (frame.labels[200:] == -1).all()
    # The first frame of a scene has none before it.
    assert len(NuScenes(root, sweeps=10).frame(3).points) == 200
    assert len(NuScenes(root, sweeps=10).frame(5).points) == 6 * 200
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        NuScenes(root, sweeps=0)


def test_velocities_come_from_the_positions_around(root):
    data = NuScenes(root)
    for index in range(3):
        frame = data.frame(index)
        driven, standing = frame.boxes.velocities
        # Seen from above the world is turned and, since the vehicle pitches, a little askew.
        np.testing.assert_allclose(driven, (np.append(SPEED, 0) @ frame.pose[:3, :3])[:2], atol=1e-6)
        np.testing.assert_allclose(standing, 0, atol=1e-6)


def test_an_object_seen_once_has_no_velocity(tmp_path):
    write_nuscenes(tmp_path, {"a": made_scene(0)[:1]})
    assert np.isnan(NuScenes(tmp_path).frame(0).boxes.velocities).all()


def test_frames_without_boxes_and_labels(tmp_path):
    frames = [replace(frame, boxes=None, labels=None) for frame in made_scene(0)]
    write_nuscenes(tmp_path, {"a": frames})
    frame = NuScenes(tmp_path).frame(0)
    assert len(frame.boxes) == 0
    assert frame.labels is None


def test_attributes_and_counts_of_points_are_read_where_the_tables_tell(tmp_path):
    frames = made_scene(0)[:2]
    frames[0] = replace(frames[0], boxes=replace(frames[0].boxes, attributes=("vehicle.moving", "")))
    inside = Boxes(
        frames[0].points[:1, :3].astype(np.float64), np.ones((1, 3)), np.zeros(1), ("vehicle.car",), ("new",)
    )
    frames[1] = replace(frames[1], boxes=replace(inside, centers=frames[1].points[:1, :3].astype(np.float64)))
    write_nuscenes(tmp_path, {"a": frames})
    data = NuScenes(tmp_path)
    assert data.frame(0).boxes.attributes == ("vehicle.moving", "")
    assert data.frame(1).boxes.attributes == ("",)
    assert data.frame(1).boxes.point_counts.tolist() == [1]
    np.testing.assert_allclose(data.vehicle(1), frames[1].pose[:3, 3], atol=1e-9)
    (tmp_path / "v1.0-mini" / "attribute.json").unlink()
    annotations = tmp_path / "v1.0-mini" / "sample_annotation.json"
    records = json.loads(annotations.read_text())
    annotations.write_text(json.dumps([{k: v for k, v in row.items() if k != "num_radar_pts"} for row in records]))
    data = NuScenes(tmp_path)
    assert data.frame(0).boxes.attributes is None
    assert data.frame(0).boxes.point_counts is None


def test_the_vehicle_is_where_its_lidar_is_not(root):
    data = NuScenes(root)
    expected = data.frame(1).pose @ np.linalg.inv(MOUNTING)
    np.testing.assert_allclose(data.vehicle(1), expected[:3, 3], atol=1e-9)
    assert np.linalg.norm(data.vehicle(1) - data.frame(1).pose[:3, 3]) > 1


@pytest.mark.parametrize("seed", range(20))
def test_quaternions_turn_as_their_matrices(seed):
    angles = np.random.default_rng(seed).uniform(-4, 4, 3) if seed else (math.pi, 0, 0)
    matrix = rotation(*angles)
    w, x, y, z = quaternion = quaternion_from_matrix(matrix)
    np.testing.assert_allclose(matrix_from_quaternion(quaternion), matrix, atol=1e-14)
    # v + 2 w (u x v) + 2 u x (u x v), which shares nothing with the matrix.
    for v in np.eye(3):
        cross = np.cross([x, y, z], v)
        np.testing.assert_allclose(v + 2 * w * cross + 2 * np.cross([x, y, z], cross), matrix @ v, atol=1e-14)


def test_every_merged_class_takes_its_categories():
    merged = merge_lidarseg(np.array(list(LABEL_NAMES)))
    for number, (name, takes) in enumerate(CLASSES.items()):
        assert tuple(np.flatnonzero(merged == number)) == takes
        for category in takes:
            assert DETECTION_CLASS.get(LABEL_NAMES[category], name) == name
    with pytest.raises(ValueError, match="0 to 31"):
        merge_lidarseg(np.array([32]))


@pytest.mark.data
def test_boxes_of_the_real_sweep_hold_as_many_points_as_it_says(data):
    sweeps = NuScenesSweeps(data("nuscenes"))
    frame = sweeps.frame(0)
    with (sweeps.root / f"{sweeps.frames[0]}.json").open() as file:
        instances = json.load(file)["data"]["instances"]
    counted = np.array([one["num_lidar_pts"] for one in instances])
    assert len(frame.points) == 34688
    # The counts are of boxes that are askew by what the vehicle is; of the file's boxes only the yaw is left.
    inside = frame.boxes.count_points(frame.points)
    np.testing.assert_allclose(inside, counted, rtol=0.1, atol=1.5)
    assert np.abs(inside - counted).sum() < 0.05 * counted.sum()
    # What drives faster than a walk drives along its length.
    speed = np.nan_to_num(frame.boxes.velocities)
    moving = np.hypot(*speed.T) > 3
    along = speed[:, 0] * np.cos(frame.boxes.yaw) + speed[:, 1] * np.sin(frame.boxes.yaw)
    assert moving.any()
    np.testing.assert_allclose(along[moving], np.hypot(*speed[moving].T), rtol=0.02)


@pytest.mark.data
def test_the_real_sweep_survives_a_copy(data, tmp_path):
    frame = NuScenesSweeps(data("nuscenes")).frame(0)
    write_nuscenes(tmp_path, {"scene-0061": [frame]})
    copy = NuScenes(tmp_path).frame(0)
    assert copy.points.tobytes() == frame.points.tobytes()
    np.testing.assert_allclose(copy.boxes.centers, frame.boxes.centers, atol=1e-6)
    (written,) = (tmp_path / "samples/LIDAR_TOP").iterdir()
    original = next(data("nuscenes").glob("*.pcd.bin"))
    assert written.read_bytes() == original.read_bytes()


def _edit(path, change):
    records = json.loads(path.read_text())
    change(records)
    path.write_text(json.dumps(records))


@pytest.mark.parametrize(
    ("name", "fault", "message"),
    [
        ("sample.json", lambda p: p.write_bytes(p.read_bytes()[:-9]), r"sample\.json is no json.*truncated"),
        ("ego_pose.json", lambda p: p.unlink(), r"ego_pose\.json is not there"),
        ("scene.json", lambda p: p.write_text("{}"), r"scene\.json: expected a list of records, got dict"),
        ("sample.json", lambda p: _edit(p, lambda r: r[1].pop("timestamp")), r"sample\.json: record 1 lacks timestamp"),
        ("sample.json", lambda p: _edit(p, lambda r: r.append(r[0])), r"1 records have the token of another"),
        ("scene.json", lambda p: _edit(p, lambda r: r.pop()), r"scene\.json has no record '\w+', which another"),
        ("instance.json", lambda p: _edit(p, list.clear), r"instance\.json has no record"),
        (
            "ego_pose.json",
            lambda p: _edit(p, lambda r: r[0].update(rotation=[0, 0, 0, 0])),
            r"ego_pose\.json, record '\w+': a rotation is a quaternion",
        ),
        (
            "sample_data.json",
            lambda p: _edit(p, lambda r: [one.update(is_key_frame=False) for one in r[:2]]),
            r"sample_data\.json: 1 samples have no key frame of LIDAR_TOP",
        ),
        (
            "sample_annotation.json",
            lambda p: _edit(p, lambda r: r[0].update(size=[1, 0, 1])),
            r"box 0 has a size or place that is not finite and positive",
        ),
    ],
)
def test_a_damaged_table_is_named(root, name, fault, message):
    fault(root / "v1.0-mini" / name)
    with pytest.raises(DataFileError, match=message):
        NuScenes(root).frame(0)


def test_the_check_finds_faults_in_scans_sweeps_and_labels(root):
    assert check_folder(root).findings == []
    assert check_folder(root).files == 12
    scans = sorted((root / "samples/LIDAR_TOP").iterdir())
    scans[0].write_bytes(scans[0].read_bytes()[:-7])
    scans[1].write_bytes(b"")
    (sweep, lost, *_) = sorted((root / "sweeps/LIDAR_TOP").iterdir())
    sweep.write_bytes(np.full(10, np.inf, "<f4").tobytes())
    lost.unlink()
    (root / "samples/LIDAR_TOP/extra.pcd.bin").write_bytes(scans[2].read_bytes())
    token = NuScenes(root)._key[NuScenes(root).frames[2]]
    label = root / "lidarseg" / "v1.0-mini" / f"{token}_lidarseg.bin"
    label.write_bytes(b"\x20" * 200)
    findings = "\n".join(check_folder(root).findings)
    assert f"{scans[0]} has 3993 bytes" in findings
    assert f"{scans[1]} is empty" in findings
    assert f"{sweep}: 2 of 2 points" in findings
    assert f"{lost} is not there" in findings
    assert "extra.pcd.bin has no partner" in findings
    assert f"{label}: unknown label numbers 32 (200 points)" in findings
    assert len(check_folder(root).findings) == 6


@pytest.mark.data
def test_a_damaged_annotated_sweep_is_named(data, tmp_path):
    source = next(data("nuscenes").glob("*.json"))
    (tmp_path / "a.json").write_bytes(source.read_bytes()[:5000])
    with pytest.raises(DataFileError, match=r"a\.json is truncated or no annotated sweep"):
        read_annotated_sweep(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(source.read_bytes())
    with pytest.raises(DataFileError, match=r"\.pcd\.bin is not there"):
        read_annotated_sweep(tmp_path / "a.json")
