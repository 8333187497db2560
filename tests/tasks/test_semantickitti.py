import shutil

import numpy as np
import pytest
import yaml

from spikevox.tasks.datasets.frame import LidarFrame
from spikevox.tasks.datasets.semantickitti import SemanticKitti, read_labels, write_labels, write_semantickitti
from spikevox.tasks.datasets.semantickitti_label import (
    CLASS_NAMES,
    LABEL_NAMES,
    LEARNING_MAP,
    to_classes,
    to_label_numbers,
)
from spikevox.tasks.errors import ConfigError, DataFileError

COLUMNS = ("x", "y", "z", "intensity")


def made_frame(seed, count=200):
    generator = np.random.default_rng(seed)
    angle = generator.uniform(-3, 3)
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    pose[:3, 3] = generator.normal(0, 100, 3)
    return LidarFrame(
        generator.normal(0, 20, (count, 4)).astype(np.float32),
        COLUMNS,
        f"made {seed}",
        labels=generator.choice(list(LABEL_NAMES), count).astype(np.int64),
        instances=generator.integers(0, 2**16, count),
        pose=pose,
        time=0.1 * seed,
    )


@pytest.fixture
def root(tmp_path):
    write_semantickitti(tmp_path, "00", [made_frame(0), made_frame(1)])
    write_semantickitti(tmp_path, "08", [made_frame(2)])
    return tmp_path


def test_what_is_written_is_read_back_exactly(root):
    data = SemanticKitti(root)
    assert data.frames == ("00/000000", "00/000001", "08/000000")
    for index in range(3):
        frame, made = data.frame(index), made_frame(index)
        assert frame.points.tobytes() == made.points.tobytes()
        assert np.array_equal(frame.labels, made.labels)
        assert np.array_equal(frame.instances, made.instances)
        assert np.array_equal(frame.pose, made.pose)
        assert frame.time == made.time
    assert SemanticKitti(root, "val").frames == ("08/000000",)
    assert SemanticKitti(root, ["00"]).frames == ("00/000000", "00/000001")
    with pytest.raises(ConfigError, match="unknown split 'valid'"):
        SemanticKitti(root, "valid")


def test_a_label_file_is_sixteen_bits_of_label_and_sixteen_of_instance(tmp_path):
    write_labels(tmp_path / "a.label", np.array([10, 259]), np.array([0, 0xABCD]))
    assert (tmp_path / "a.label").read_bytes() == bytes([10, 0, 0, 0, 3, 1, 0xCD, 0xAB])
    labels, instances = read_labels(tmp_path / "a.label")
    assert (labels.tolist(), instances.tolist()) == ([10, 259], [0, 0xABCD])


def test_camera_poses_become_poses_of_the_lidar(root):
    folder = root / "sequences" / "08"
    # The camera looks along the LiDAR's x axis and has moved 5 m ahead: its z axis.
    (folder / "calib.txt").write_text("P0: 1\nTr: 0 -1 0 0 0 0 -1 0 1 0 0 -0.5\n")
    (folder / "poses.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 5\n")
    pose = SemanticKitti(root, ["08"]).frame(0).pose
    np.testing.assert_allclose(pose @ [1, 2, 3, 1], [6, 2, 3, 1], atol=1e-12)


def test_every_class_is_written_with_a_number_that_reads_as_itself():
    classes = np.arange(-1, len(CLASS_NAMES))
    assert np.array_equal(to_classes(to_label_numbers(classes)), classes)
    with pytest.raises(ValueError, match=r"unknown numbers \[2, 260\]"):
        to_classes(np.array([2, 10, 260]))
    with pytest.raises(ValueError, match=r"unknown numbers \[19\]: classes are -1 to 18"):
        to_label_numbers(np.array([19]))


@pytest.mark.data
def test_the_tables_are_those_of_the_published_file(data):
    published = yaml.safe_load(data("semantickitti/semantic-kitti.yaml").read_text())
    assert dict(LABEL_NAMES) == published["labels"]
    assert {number: c + 1 for number, c in LEARNING_MAP.items()} == published["learning_map"]
    classes = np.arange(-1, 19)
    assert (
        dict(zip((classes + 1).tolist(), to_label_numbers(classes).tolist(), strict=True))
        == (published["learning_map_inv"])
    )


@pytest.mark.data
def test_real_scans_survive_a_copy(data, tmp_path):
    source = SemanticKitti(data("semantickitti"))
    frame = source.frame(source.frames.index("00/000000"))
    assert frame.points.shape == (124668, 4)
    assert frame.pose is None
    write_semantickitti(tmp_path, "00", [frame])
    for part in ("velodyne/000000.bin", "labels/000000.label"):
        assert (tmp_path / "sequences/00" / part).read_bytes() == (source.folder / "00" / part).read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("velodyne/000001.bin", lambda b: b[:-3], r"000001\.bin has 3197 bytes.*truncated"),
        ("velodyne/000001.bin", lambda b: b[:-16], r"000001\.label has 200 labels and its scan 199 points"),
        ("velodyne/000001.bin", lambda b: b[:-4] + b"\0\0\xc0\x7f", r"000001\.bin: 1 of 200 points.*first in row 199"),
        ("labels/000001.label", lambda b: b"", r"000001\.label has 0 bytes"),
        ("labels/000001.label", lambda b: b[:-2], r"000001\.label has 798 bytes.*truncated"),
        (
            "labels/000001.label",
            lambda b: b"\x07\0\0\0" * 2 + b[8:],
            r"000001\.label: unknown label numbers 7 \(2 points",
        ),
        ("poses.txt", lambda b: b[: b.index(b"\n") + 1], r"poses\.txt has 1 rows and none for scan 1"),
        ("poses.txt", lambda b: b[:-30], r"poses\.txt, row 2: expected 12 numbers"),
        ("poses.txt", lambda b: b"", r"poses\.txt is empty"),
        ("times.txt", lambda b: b.replace(b"0.1", b"abc"), r"times\.txt, row 2: could not convert"),
        ("calib.txt", lambda b: b[:40], r"calib\.txt lacks the row 'Tr:'"),
    ],
)
def test_a_damaged_file_is_named(root, name, content, message):
    path = root / "sequences" / "00" / name
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(DataFileError, match=message):
        SemanticKitti(root, ["00"]).frame(1)


def test_scans_without_labels_and_labels_without_scans_are_told(root):
    labels = root / "sequences/00/labels"
    shutil.move(labels / "000001.label", labels / "000007.label")
    with pytest.raises(DataFileError, match=r"000001\.label is not there"):
        SemanticKitti(root).frame(1)
    (stray,) = SemanticKitti(root).strays()
    assert "000007.label has no partner" in stray
    shutil.rmtree(labels)
    assert SemanticKitti(root).frame(1).labels is None
    (root / "sequences/00/velodyne/one.bin").touch()
    with pytest.raises(DataFileError, match="a scan's name is its number"):
        SemanticKitti(root)
