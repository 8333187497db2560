import math
import shutil
import struct
from dataclasses import astuple

import numpy as np
import pytest

from spikevox.tasks.datasets.check import check_folder
from spikevox.tasks.datasets.frame import Boxes, LidarFrame
from spikevox.tasks.datasets.kitti import KittiObjects, write_kitti_frame
from spikevox.tasks.datasets.kitti_calibration import crop_to_view, image_size, read_calibration
from spikevox.tasks.datasets.kitti_label import boxes_from_labels, read_labels
from spikevox.tasks.errors import ConfigError, DataFileError

CALIBRATION = """P0: 721.5 0 609.5 0 0 721.5 172.8 0 0 0 1 0
P1: 721.5 0 609.5 -387.5 0 721.5 172.8 0 0 0 1 0
P2: 721.5 0 609.5 44.8 0 721.5 172.8 0.21 0 0 1 0.0027
P3: 721.5 0 609.5 -339.5 0 721.5 172.8 2.19 0 0 1 0.0027
R0_rect: 0.9999239 0.00983776 -0.007445048 -0.009869795 0.9999421 -0.004278459 0.007402527 0.004351614 0.9999631
Tr_velo_to_cam: 0.007533745 -0.9999714 -0.000616602 -0.004069766 0.01480249 0.0007280733 -0.9998902 -0.07631618 \
0.9998621 0.00752379 0.01480755 -0.2717806
Tr_imu_to_velo: 1 0 0 -0.81 0 1 0 0.32 0 0 1 -0.8
"""
CAR = "Car 0.25 1 -1.33 597.59 176.18 720.90 261.14 1.47 1.60 3.66 1.07 1.55 14.44 -1.25"
DONT_CARE = "DontCare -1 -1 -10 800.38 163.67 825.45 184.07 -1 -1 -1 -1000 -1000 -1000 -10"


@pytest.fixture
def calibration(tmp_path):
    (tmp_path / "calib.txt").write_text(CALIBRATION)
    return read_calibration(tmp_path / "calib.txt")


@pytest.fixture
def root(tmp_path):
    """Two frames on disk, written by hand."""
    folder = tmp_path / "kitti" / "training"
    for part in ("velodyne", "label_2", "calib"):
        (folder / part).mkdir(parents=True)
    for name in ("000003", "000007"):
        cloud = np.random.default_rng(int(name)).uniform(-40, 40, (500, 4)).astype("<f4")
        (folder / "velodyne" / f"{name}.bin").write_bytes(cloud.tobytes())
        (folder / "label_2" / f"{name}.txt").write_text(f"{CAR}\n{DONT_CARE}\n")
        (folder / "calib" / f"{name}.txt").write_text(CALIBRATION)
    (tmp_path / "kitti" / "ImageSets").mkdir()
    (tmp_path / "kitti" / "ImageSets" / "train.txt").write_text("000003\n000005\n")
    (tmp_path / "kitti" / "ImageSets" / "val.txt").write_text("000007\n")
    return tmp_path / "kitti"


def camera_point(point, text=CALIBRATION):
    """One point in rectified camera coordinates, number by number."""
    rows = {line.split(":")[0]: [float(v) for v in line.split(":")[1].split()] for line in text.splitlines() if line}
    r, t = rows["R0_rect"], rows["Tr_velo_to_cam"]
    raw = [sum(t[4 * i + j] * point[j] for j in range(3)) + t[4 * i + 3] for i in range(3)]
    return [sum(r[3 * i + j] * raw[j] for j in range(3)) for i in range(3)], rows["P2"]


def test_a_box_lies_where_the_label_says_when_moved_back_to_the_camera(tmp_path, calibration):
    (tmp_path / "label.txt").write_text(f"{CAR}\n{DONT_CARE}\n")
    labels = read_labels(tmp_path / "label.txt")
    boxes = boxes_from_labels(labels, calibration)
    assert boxes.names == ("Car",)
    assert boxes.sizes.tolist() == [[3.66, 1.60, 1.47]]
    middle, _ = camera_point(boxes.centers[0])
    np.testing.assert_allclose(middle, [1.07, 1.55 - 1.47 / 2, 14.44], atol=1e-5)  # R0_rect has seven digits
    # The camera is askew by less than a degree.
    assert abs(boxes.yaw[0] - (1.25 - math.pi / 2)) < 0.03
    ahead = boxes.centers[0] + [math.cos(boxes.yaw[0]), math.sin(boxes.yaw[0]), 0]
    step = np.array(camera_point(ahead)[0]) - middle
    assert math.atan2(-step[2], step[0]) == pytest.approx(-1.25, abs=1e-3)


def test_all_columns_of_a_label_are_kept(tmp_path):
    (tmp_path / "a.txt").write_text(f"{CAR} 0.75\n\n{DONT_CARE}\n")
    car, other = read_labels(tmp_path / "a.txt")
    words = CAR.split()
    flat = [v for item in astuple(car) for v in (item if isinstance(item, tuple) else [item])]
    assert flat == [words[0], *(float(word) for word in words[1:]), 0.75]
    assert other.score is None
    assert other.occluded == -1


def test_the_view_holds_the_points_that_project_into_the_image(calibration):
    points = np.random.default_rng(0).uniform(-30, 30, (800, 4)).astype(np.float32)
    kept = []
    for point in points:
        (x, y, z), p = camera_point([float(v) for v in point[:3]])
        u, v, w = (p[4 * i] * x + p[4 * i + 1] * y + p[4 * i + 2] * z + p[4 * i + 3] for i in range(3))
        kept.append(w > 0 and 0 <= u / w < 1242 and 0 <= v / w < 375)
    assert 10 < sum(kept) < 400
    assert np.array_equal(crop_to_view(points, calibration), points[kept])


def test_image_sizes_come_from_the_png_then_the_table_then_the_default(root):
    folder = root / "training"
    assert image_size(folder, "000003") == (1242, 375)
    (root / "image_size_wh.json").write_text('{"000003": [1224, 370]}')
    assert image_size(folder, "000003") == (1224, 370)
    (folder / "image_2").mkdir()
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 1238, 374)
    (folder / "image_2" / "000003.png").write_bytes(png)
    assert image_size(folder, "000003") == (1238, 374)
    (folder / "image_2" / "000003.png").write_bytes(png[:20])
    with pytest.raises(DataFileError, match=r"000003\.png is no PNG, or truncated"):
        image_size(folder, "000003")


def test_splits_list_their_frames_and_absent_scans_are_an_error_that_names_them(root):
    assert KittiObjects(root, "val").frames == ("000007",)
    assert KittiObjects(root, "training").frames == ("000003", "000007")
    with pytest.raises(DataFileError, match="1 of 2 frames of split 'train' have no scan, first 000005"):
        KittiObjects(root, "train")
    partial = KittiObjects(root, "trainval", present_only=True)
    assert (partial.frames, partial.absent) == (("000003", "000007"), ("000005",))
    assert KittiObjects(root, "training", names=["000007"]).frames == ("000007",)
    assert KittiObjects(root, "trainval", names=["000007", "000003"]).frames == ("000007", "000003")
    with pytest.raises(ConfigError, match=r"split 'val' of .* has no frame '000003'"):
        KittiObjects(root, "val", names=["000007", "000003"])


def test_a_frame_is_the_bytes_on_disk(root):
    frame = KittiObjects(root, "training").frame(1)
    assert frame.points.tobytes() == (root / "training/velodyne/000007.bin").read_bytes()
    assert frame.columns == ("x", "y", "z", "intensity")
    cropped = KittiObjects(root, "training", crop=True).frame(1)
    assert 0 < len(cropped.points) < len(frame.points)
    with pytest.raises(IndexError, match="frame 2 of 2"):
        KittiObjects(root, "training").frame(2)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_written_is_read_back_exactly(tmp_path, calibration, seed):
    generator = np.random.default_rng(seed)
    points = generator.normal(0, 20, (300, 4)).astype(np.float32)
    boxes = Boxes(
        generator.uniform([-30, -30, -2], [60, 30, 1], (20, 3)),
        generator.uniform(0.3, 5, (20, 3)),
        generator.uniform(-math.pi, math.pi, 20),
        ("Car", "Pedestrian") * 10,
    )
    frame = LidarFrame(points, ("x", "y", "z", "intensity"), "made", boxes=boxes)
    write_kitti_frame(tmp_path, "000042", frame, calibration)
    written = KittiObjects(tmp_path, "training")
    back = written.frame(0)
    assert back.points.tobytes() == points.tobytes()
    assert back.boxes is not None
    assert back.boxes.names == boxes.names
    np.testing.assert_allclose(back.boxes.centers, boxes.centers, atol=1e-9)
    np.testing.assert_allclose(back.boxes.sizes, boxes.sizes, rtol=0, atol=0)
    np.testing.assert_allclose(np.exp(1j * back.boxes.yaw), np.exp(1j * boxes.yaw), atol=1e-9)
    for one, other in zip(astuple(calibration), astuple(written.calibration(0)), strict=True):
        assert np.array_equal(one, other)


def test_labels_survive_a_copy(root, tmp_path):
    source = KittiObjects(root, "training")
    write_kitti_frame(tmp_path / "copy", "000003", source.frame(0), source.calibration(0), labels=source.labels(0))
    assert KittiObjects(tmp_path / "copy", "training").labels(0) == source.labels(0)


def _cut(path, kept):
    path.write_bytes(path.read_bytes()[:kept])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda f: _cut(f / "velodyne/000003.bin", 1001), r"000003\.bin has 1001 bytes.*truncated"),
        (lambda f: _cut(f / "velodyne/000003.bin", 0), r"000003\.bin is empty"),
        (
            lambda f: (f / "velodyne/000003.bin").write_bytes(np.full(8, np.nan, "<f4").tobytes()),
            r"000003\.bin: 2 of 2 points have NaN",
        ),
        (
            lambda f: _cut(f / "label_2/000003.txt", 60),
            r"label_2/000003\.txt, row 1: expected 15 or 16 columns, got 11",
        ),
        (lambda f: (f / "label_2/000003.txt").unlink(), r"label_2/000003\.txt is not there"),
        (
            lambda f: (f / "label_2/000003.txt").write_text(CAR.replace("Car", "Cart")),
            r"row 1: unknown class 'Cart'",
        ),
        (
            lambda f: (f / "label_2/000003.txt").write_text(f"{CAR}\n{CAR.replace('1.47', '0')}"),
            r"row 2: height, width and length must be positive",
        ),
        (lambda f: _cut(f / "calib/000003.txt", 300), r"calib/000003\.txt.*(lacks|expected)"),
        (
            lambda f: (f / "calib/000003.txt").write_text(CALIBRATION.replace("721.5", "nan", 1)),
            r"row 1: NaN or infinite",
        ),
    ],
)
def test_a_damaged_file_is_named(root, fault, message):
    fault(root / "training")
    with pytest.raises(DataFileError, match=message):
        KittiObjects(root, "training").frame(0)


def test_stray_files_are_listed(root):
    folder = root / "training"
    shutil.copy(folder / "label_2/000003.txt", folder / "label_2/000099.txt")
    (folder / "velodyne/000003.bin.part").touch()
    found = "\n".join(KittiObjects(root, "training").strays())
    assert "label_2/000099.txt has no partner" in found.replace("\\", "/")
    assert "000003.bin.part: expected names that end in .bin" in found


def test_lists_that_name_absent_scans_are_found(root):
    listed, scans = root / "ImageSets" / "train.txt", root / "training" / "velodyne"
    (finding,) = check_folder(root).findings
    assert finding.startswith(f"{listed}: 1 of 2 frames have no scan in {scans}, first 000005.")
    # Those of the test split lie in another folder, which is not there.
    (root / "ImageSets" / "test.txt").write_text("000123\n")
    listed.write_text("000003\n")
    assert check_folder(root).findings == []
    (root / "testing" / "velodyne").mkdir(parents=True)
    for part, name in (("velodyne", "000124.bin"), ("calib", "000124.txt")):
        source = (root / "training" / part / name.replace("124", "003")).read_bytes()
        (root / "testing" / part).mkdir(exist_ok=True)
        (root / "testing" / part / name).write_bytes(source)
    (finding,) = check_folder(root).findings
    assert "test.txt: 1 of 1 frames have no scan" in finding


@pytest.mark.data
def test_real_objects_hold_points_and_survive_a_copy(data, tmp_path):
    frames = KittiObjects(data("kitti"), "training")
    index = frames.frames.index("000008")
    frame = frames.frame(index)
    assert len(frame.boxes) == 6
    inside = np.bincount(frame.boxes.contain(frame.points) + 1, minlength=7)[1:]
    assert inside[:4].min() > 200  # the cars within 15 m
    write_kitti_frame(tmp_path, "000008", frame, frames.calibration(index), labels=frames.labels(index))
    copy = KittiObjects(tmp_path, "training").frame(0)
    assert copy.points.tobytes() == frame.points.tobytes()
    assert np.array_equal(copy.boxes.centers, frame.boxes.centers)
