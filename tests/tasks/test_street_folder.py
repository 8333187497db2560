"""Generated streets, written as published data sets lay out theirs, come back as they were."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from oracles import nuscenes_schema
from spikevox.tasks import cli
from spikevox.tasks.atomic import new_folder
from spikevox.tasks.datasets import (
    HDL32,
    HDL64,
    PANDAR64,
    STREET_CLASSES,
    TO_PANDASET,
    TO_SEMANTICKITTI,
    KittiObjects,
    NuScenes,
    PandaSet,
    SemanticKitti,
    Street,
    make_streets,
    pandaset_label,
    semantickitti_label,
)
from spikevox.tasks.datasets.check import check_folder
from spikevox.tasks.errors import ConfigError

SEEDS = (0, 11, 40)
SWEEPS = {"kitti": 2, "semantickitti": 3, "nuscenes": 11, "pandaset": 2}
# What each class is called, in words: KITTI's boxes, SemanticKITTI standing and moving, nuScenes, PandaSet.
CALLED = {
    "road": ("", "road", "road", "flat.driveable_surface", "Road"),
    "lane_marking": ("", "lane-marking", "lane-marking", "flat.driveable_surface", "Lane Line Marking"),
    "parking": ("", "parking", "parking", "flat.driveable_surface", "Road"),
    "sidewalk": ("", "sidewalk", "sidewalk", "flat.sidewalk", "Sidewalk"),
    "terrain": ("", "terrain", "terrain", "flat.terrain", "Ground"),
    "other_ground": ("", "other-ground", "other-ground", "flat.other", "Sidewalk"),
    "building": ("", "building", "building", "static.manmade", "Building"),
    "wall": ("", "fence", "fence", "static.manmade", "Other Static Object"),
    "fence": ("", "fence", "fence", "static.manmade", "Other Static Object"),
    "vegetation": ("", "vegetation", "vegetation", "static.vegetation", "Vegetation"),
    "trunk": ("", "trunk", "trunk", "static.vegetation", "Vegetation"),
    "pole": ("", "pole", "pole", "static.manmade", "Other Static Object"),
    "sign": ("", "traffic-sign", "traffic-sign", "static.manmade", "Signs"),
    "cone": ("", "other-object", "other-object", "movable_object.trafficcone", "Cones"),
    "other_static": ("", "other-object", "other-object", "static.other", "Other Static Object"),
    "reflection": ("", "outlier", "outlier", "noise", "Reflection"),
    "car": ("Car", "car", "moving-car", "vehicle.car", "Car"),
    "van": ("Van", "car", "moving-car", "vehicle.car", "Car"),
    "pickup": ("Car", "car", "moving-car", "vehicle.truck", "Pickup Truck"),
    "truck": ("Truck", "truck", "moving-truck", "vehicle.truck", "Medium-sized Truck"),
    "bus": ("Misc", "bus", "moving-bus", "vehicle.bus.rigid", "Bus"),
    "construction_vehicle": (
        "Misc",
        "other-vehicle",
        "moving-other-vehicle",
        "vehicle.construction",
        "Other Vehicle - Construction Vehicle",
    ),
    "motorcycle": ("", "motorcycle", "motorcycle", "vehicle.motorcycle", "Motorcycle"),
    "bicycle": ("", "bicycle", "bicycle", "vehicle.bicycle", "Bicycle"),
    "pedestrian": ("Pedestrian", "person", "moving-person", "human.pedestrian.adult", "Pedestrian"),
    "cyclist": ("Cyclist", "bicyclist", "moving-bicyclist", "vehicle.bicycle", "Bicycle"),
    "motorcyclist": ("Misc", "motorcyclist", "moving-motorcyclist", "vehicle.motorcycle", "Motorcycle"),
}


def streets(seed, lidar):
    return [Street(seed, lidar=lidar), Street(seed + 1, lidar=lidar)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of two streets in a layout, made once for each seed."""
    folders = {}

    def make(layout, seed):
        if (layout, seed) not in folders:
            out = tmp_path_factory.mktemp(layout) / "out"
            folders[layout, seed] = make_streets(out, layout, streets=2, sweeps=SWEEPS[layout], seed=seed).folder
        return folders[layout, seed]

    return make


def words(numbers, names):
    return [names[number] for number in numbers.tolist()]


def called(frame, column):
    return [CALLED[STREET_CLASSES[label]][column] for label in frame.labels.tolist()]


def met_rows(frame, column):
    """Rows of the boxes that a ray met and that have a name."""
    met = set(frame.instances.tolist())
    return [
        row
        for row, name in enumerate(frame.boxes.names)
        if int(frame.boxes.identities[row]) in met and CALLED[name][column]
    ]


def assert_same_boxes(found, frame, rows, column, atol):
    assert found.names == tuple(CALLED[frame.boxes.names[row]][column] for row in rows)
    np.testing.assert_allclose(found.centers, frame.boxes.centers[rows], rtol=0, atol=atol)
    assert np.array_equal(found.sizes, frame.boxes.sizes[rows])
    np.testing.assert_allclose(np.exp(1j * found.yaw), np.exp(1j * frame.boxes.yaw[rows]), rtol=0, atol=atol)


def in_image(corners):
    """Whether a box shows in the image of the camera 0.27 m ahead of and 0.08 m below the LiDAR, which sees from 0.1 m on."""
    points = []
    for a, b in itertools.permutations(corners - [0.27, 0, 0], 2):
        if a[0] >= 0.1:
            points.append(a)
            if b[0] < 0.1:
                points.append(a + (b - a) * (a[0] - 0.1) / (a[0] - b[0]))
    if not points:
        return False
    depth, left, up = np.transpose(points)
    u, v = 621 + (43.2 - 720 * left) / depth, 187.5 + 720 * (-up - 0.08) / depth
    return u.min() < 1241 and u.max() > 0 and v.min() < 374 and v.max() > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_kitti_comes_back_exactly(made, seed):
    data = KittiObjects(made("kitti", seed), "training")
    frames = [street.frame(sweep) for street in streets(seed, HDL64) for sweep in range(2)]
    assert data.frames == ("000000", "000001", "000002", "000003")
    for index, frame in enumerate(frames):
        found = data.frame(index)
        assert found.points.tobytes() == frame.points.tobytes()
        corners = frame.boxes.corners()
        rows = [row for row in met_rows(frame, 0) if in_image(corners[row])]
        assert len(rows) > 5
        assert_same_boxes(found.boxes, frame, rows, 0, atol=1e-9)
    assert KittiObjects(data.root, "train").frames == ("000000", "000001")
    assert KittiObjects(data.root, "val").frames == ("000002", "000003")
    assert len(KittiObjects(data.root, "trainval")) == 4


@pytest.mark.parametrize("seed", SEEDS)
def test_semantickitti_comes_back_exactly(made, seed):
    data = SemanticKitti(made("semantickitti", seed))
    assert data.frames == tuple(f"{name}/{sweep:06d}" for name in ("00", "01") for sweep in range(3))
    for number, street in enumerate(streets(seed, HDL64)):
        for sweep in range(3):
            frame, found = street.frame(sweep), data.frame(3 * number + sweep)
            assert found.points.tobytes() == frame.points.tobytes()
            assert np.array_equal(found.instances, frame.instances)
            assert np.array_equal(semantickitti_label.to_classes(found.labels), TO_SEMANTICKITTI[frame.labels])
            moving = np.append(False, np.hypot(*frame.boxes.velocities.T) > 0)[frame.instances]
            wanted = np.where(moving, called(frame, 2), called(frame, 1))
            assert words(found.labels, semantickitti_label.LABEL_NAMES) == wanted.tolist()
            assert found.time == frame.time
            # The world of a sequence is its first scan.
            np.testing.assert_allclose(street.frame(0).pose @ found.pose, frame.pose, rtol=0, atol=1e-12)
        assert np.array_equal(data.frame(3 * number).pose, np.eye(4))


@pytest.mark.parametrize("seed", SEEDS)
def test_nuscenes_comes_back_exactly(made, seed):
    data = NuScenes(made("nuscenes", seed))
    assert len(data) == 6
    for number, street in enumerate(streets(seed, HDL32)):
        for place, sweep in enumerate((0, 5, 10)):
            frame, found = street.frame(sweep), data.frame(3 * number + place)
            assert found.points[:, :3].tobytes() == frame.points[:, :3].tobytes()
            # Whole numbers of 0 to 255, as nuScenes has them.
            assert np.array_equal(found.points[:, 3], np.rint(frame.points[:, 3] * 255))
            assert words(found.labels, data.label_names) == called(frame, 3)
            rows = met_rows(frame, 3)
            assert_same_boxes(found.boxes, frame, rows, 3, atol=1e-9)
            # Positions half a second apart give them, and lie on a bend.
            known = np.isfinite(found.boxes.velocities).all(axis=1)
            assert known.mean() > 0.5
            np.testing.assert_allclose(
                found.boxes.velocities[known], frame.boxes.velocities[rows][known], rtol=0, atol=0.15
            )
            np.testing.assert_allclose(found.pose, frame.pose, rtol=0, atol=1e-12)
            assert found.time == pytest.approx(60 * number + frame.time, abs=1e-6)
        first, last = data.frame(3 * number), data.frame(3 * number + 2)
        kept = set(first.boxes.identities) & set(last.boxes.identities)
        assert len(kept) > 10
        assert all(
            first.boxes.names[first.boxes.identities.index(one)] == last.boxes.names[last.boxes.identities.index(one)]
            for one in kept
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_joined_sweeps_lie_where_the_poses_move_them(made, seed):
    data = NuScenes(made("nuscenes", seed), sweeps=6)
    for number, street in enumerate(streets(seed, HDL32)):
        joined = data.frame(3 * number + 2)
        parts = [street.frame(sweep) for sweep in (10, 9, 8, 7, 6, 5)]
        starts = np.cumsum([0, *(len(part.points) for part in parts)])
        assert starts[-1] == len(joined.points)
        for lag, (part, start, stop) in enumerate(zip(parts, starts[:-1], starts[1:], strict=True)):
            world = part.points[:, :3].astype(np.float64) @ part.pose[:3, :3].T + part.pose[:3, 3]
            here = (world - parts[0].pose[:3, 3]) @ parts[0].pose[:3, :3]
            apart = np.linalg.norm(joined.points[start:stop, :3] - here, axis=1)
            assert apart.max() < 1e-4  # metres, which float32 allows; a centimetre would do
            np.testing.assert_allclose(joined.points[start:stop, 5], 0.1 * lag, atol=1e-6)
            labels = joined.labels[start:stop]
            assert (labels == -1).all() if lag else (labels >= 0).all()


def test_rings_are_the_beams_that_the_points_lie_on(made):
    found = NuScenes(made("nuscenes", 0)).frame(0)
    elevation = np.degrees(np.arctan2(found.points[:, 2], np.hypot(found.points[:, 0], found.points[:, 1])))
    np.testing.assert_allclose(elevation, np.array(HDL32.elevations)[found.points[:, 4].astype(int)], atol=1e-3)
    assert set(found.points[:, 4].tolist()) >= set(range(24))


@pytest.mark.parametrize("seed", SEEDS)
def test_pandaset_comes_back_exactly(made, seed):
    data = PandaSet(made("pandaset", seed), sensor=0)
    assert data.frames == ("000/00", "000/01", "001/00", "001/01")
    frames = [street.frame(sweep) for street in streets(seed, PANDAR64) for sweep in range(2)]
    for index, frame in enumerate(frames):
        found = data.frame(index)
        # Through the world in float64, which float32 does not see.
        assert np.array_equal(found.points[:, :3], frame.points[:, :3])
        assert np.array_equal(found.points[:, 3], np.rint(frame.points[:, 3] * 255))
        assert words(found.labels, data.label_names) == called(frame, 4)
        assert np.array_equal(pandaset_label.merge_classes(found.labels), TO_PANDASET[frame.labels])
        rows = met_rows(frame, 4)
        assert_same_boxes(found.boxes, frame, rows, 4, atol=1e-9)
        assert found.boxes.identities == tuple(frame.boxes.identities[row] for row in rows)
        np.testing.assert_allclose(found.pose, frame.pose, rtol=0, atol=1e-12)
        assert found.time == frame.time


@pytest.mark.parametrize("layout", SWEEPS)
def test_the_check_finds_made_folders_clean(made, layout):
    report = check_folder(made(layout, 0))
    assert report.findings == []
    assert report.files == 2 * SWEEPS[layout]


def test_nuscenes_tables_hold_what_the_schema_asks_for(made):
    root = made("nuscenes", 0)
    assert nuscenes_schema.faults(root) == []
    (record,) = json.loads((root / "v1.0-mini" / "map.json").read_text())
    mask = image.imread(root / record["filename"])
    assert mask.shape == (100, 100)
    assert not mask.any()


@pytest.mark.parametrize("layout", SWEEPS)
def test_the_same_seed_makes_the_same_bytes(tmp_path, layout):
    make_streets(tmp_path / "a", layout, streets=2, sweeps=2, seed=3, sensor="hdl32")
    words = ["data", "make", "street", "--format", layout, str(tmp_path / "b"), "--streets", "2", "--sweeps", "2"]
    command = [sys.executable, "-m", "spikevox.tasks.cli", *words, "--seed", "3", "--sensor", "hdl32"]
    # Another process, in which sets and hashes have another order.
    done = subprocess.run(
        command, env={**os.environ, "PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path / 'b'}: 4 sweeps of 2 streets" in done.stdout
    one, other = (content(tmp_path / name) for name in "ab")
    assert one == other
    make_streets(tmp_path / "c", layout, streets=2, sweeps=2, seed=4, sensor="hdl32")
    assert one != content(tmp_path / "c")


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("layout", SWEEPS)
def test_nothing_is_left_of_what_failed(tmp_path, layout, error):
    def fail(done, total):
        if done == 3:
            raise error

    with pytest.raises(type(error)):
        make_streets(tmp_path / "out", layout, streets=2, sweeps=2, sensor="hdl32", progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_leaves_no_folder_and_the_next_one_works(tmp_path):
    words = ["data", "make", "street", "--format", "kitti", str(tmp_path / "out"), "--sweeps", "84"]
    process = subprocess.Popen([sys.executable, "-m", "spikevox.tasks.cli", *words], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not list(tmp_path.glob(".out.partial/training/velodyne/000002.bin")):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out").exists()
    make_streets(tmp_path / "out", "kitti", streets=1, sweeps=1)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert len(list((tmp_path / "out/training/velodyne").iterdir())) == 1


def test_a_folder_that_holds_something_is_refused(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    command = ["data", "make", "street", "--format", "pandaset", "--streets", "1", "--sweeps", "1"]
    assert cli.main([*command, str(tmp_path)]) == 1
    assert f"{tmp_path} is there already and not empty" in capsys.readouterr().err
    assert content(tmp_path) == {Path("notes.txt"): b"mine"}
    (tmp_path / "empty").mkdir()
    assert cli.main([*command, str(tmp_path / "empty")]) == 0
    with new_folder(tmp_path / "other"), pytest.raises(ConfigError, match="is being made by another process"):
        make_streets(tmp_path / "other", "kitti", streets=1, sweeps=1)
    assert (tmp_path / "other").is_dir()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "waymo"}, "unknown layout 'waymo'; there are kitti, semantickitti, nuscenes, pandaset"),
        ({"sensor": "vlp16"}, "unknown sensor 'vlp16'; there are pandar64, hdl64, hdl32"),
        ({"streets": 0}, "expected streets from 1, .* got 0, 0 and 10"),
        ({"seed": -1}, "a seed from 0"),
        ({"sweeps": 0}, "1 to 84 sweeps"),
        ({"sweeps": 85}, "1 to 84 sweeps"),
    ],
)
def test_wrong_options_are_named_and_nothing_is_written(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        make_streets(tmp_path / "out", **{"layout": "kitti", **options})
    assert list(tmp_path.iterdir()) == []
