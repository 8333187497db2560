"""The pre-flight finds faults that are injected into copies of real folders, and names the file of each."""

import shutil

import numpy as np
import pytest

from spikevox.tasks import cli
from spikevox.tasks.datasets.check import check_folder


def _copy(source, target, names):
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, target / name)


@pytest.fixture
def kitti(data, tmp_path):
    names = [
        f"training/{part}/{frame}.{'bin' if part == 'velodyne' else 'txt'}"
        for part in ("velodyne", "label_2", "calib")
        for frame in ("000000", "000003", "000008")
    ]
    _copy(data("kitti"), tmp_path, names)
    return tmp_path


@pytest.fixture
def semantickitti(data, tmp_path):
    _copy(data("semantickitti"), tmp_path, ["sequences/00/velodyne/000000.bin", "sequences/00/labels/000000.label"])
    return tmp_path


@pytest.fixture
def pandaset(data, tmp_path):
    _copy(data("pandaset"), tmp_path, ["002/00.npz", "002/04.npz", "002/classes.json"])
    return tmp_path


@pytest.mark.data
def test_good_folders_have_no_findings_and_their_contents_are_counted(kitti, capsys):
    assert cli.main(["data", "check", str(kitti)]) == 0
    out = capsys.readouterr().out
    assert "3 of 3 frames good" in out
    assert "3 files read, 0 with problems" in out
    words = [line.split() for line in out.splitlines()]
    (cars,) = [line for line in words if line[0] == "Car"]
    lengths = [
        float(line.split()[10])
        for path in (kitti / "training/label_2").iterdir()
        for line in path.read_text().splitlines()
        if line.startswith("Car ")
    ]
    assert int(cars[1]) == len(lengths)
    assert float(cars[2]) == pytest.approx(np.mean(lengths), abs=0.005)


@pytest.mark.data
def test_points_of_each_label_are_counted(semantickitti):
    report = check_folder(semantickitti)
    assert report.findings == []
    raw = np.fromfile(semantickitti / "sequences/00/labels/000000.label", "<u4") & 0xFFFF
    road = next(line.split() for line in report.lines if line.startswith("  40 road"))
    assert int(road[2]) == (raw == 40).sum()


KITTI_FAULTS = {
    "truncated scan": (
        "training/velodyne/000003.bin",
        lambda b: b[:-5],
        "000003.bin has 1809755 bytes, which is no whole number of points",
    ),
    "empty scan": ("training/velodyne/000003.bin", lambda b: b"", "000003.bin is empty"),
    "not a number": ("training/velodyne/000003.bin", lambda b: b[:-4] + b"\0\0\xc0\x7f", "000003.bin: 1 of 113110"),
    "truncated label": ("training/label_2/000003.txt", lambda b: b[:-60], "000003.txt, row 3: expected 15 or 16"),
    "unknown class": ("training/label_2/000003.txt", lambda b: b.replace(b"Car", b"Cab"), "unknown class 'Cab'"),
    "unlabelled": ("training/label_2/000003.txt", None, "000003.txt is not there"),
    "truncated calibration": ("training/calib/000003.txt", lambda b: b[:700], "calib/000003.txt, row"),
    "no calibration": ("training/calib/000003.txt", None, "calib/000003.txt is not there"),
    "label without scan": ("training/velodyne/000003.bin", None, "label_2/000003.txt has no partner"),
    "misnamed": ("training/velodyne/000009.txt", lambda b: b"", "000009.txt: expected names that end in .bin"),
}


def _inject(path, change):
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes() if path.exists() else b""))


@pytest.mark.data
@pytest.mark.parametrize("fault", KITTI_FAULTS)
def test_a_fault_in_kitti_is_found(kitti, capsys, fault):
    name, change, message = KITTI_FAULTS[fault]
    _inject(kitti / name, change)
    assert cli.main(["data", "check", str(kitti)]) == 1
    out = capsys.readouterr().out
    assert message in out.replace("\\", "/")
    # The other frames are read nevertheless, and none takes the place of the bad one.
    good = 3 if fault == "misnamed" else 2
    assert f": {good} of {2 if fault == 'label without scan' else 3} frames good" in out


LABEL_FAULTS = {
    "another count": (lambda b: b[:-400], "000000.label has 124568 labels and its scan 124668 points"),
    "truncated": (lambda b: b[:-1], "000000.label has 498671 bytes"),
    "empty": (lambda b: b"", "000000.label has 0 bytes"),
    "unknown label": (lambda b: b"\xe7\x03\0\0" * 3 + b[12:], "000000.label: unknown label numbers 999 (3 points)"),
    "unlabelled": (None, "000000.label is not there"),
}


@pytest.mark.data
@pytest.mark.parametrize("fault", LABEL_FAULTS)
def test_a_fault_in_semantickitti_is_found(semantickitti, fault):
    change, message = LABEL_FAULTS[fault]
    _inject(semantickitti / "sequences/00/labels/000000.label", change)
    (finding,) = check_folder(semantickitti).findings
    assert message in finding
    assert str(semantickitti) in finding


@pytest.mark.data
def test_faults_in_pandaset_are_found(pandaset):
    _inject(pandaset / "002/04.npz", lambda b: b[: len(b) // 2])
    (pandaset / "002/stray.npz").touch()
    report = check_folder(pandaset)
    assert len(report.findings) == 2
    assert "stray.npz has no partner" in report.findings[0]
    assert "04.npz cannot be read as npz" in report.findings[1]
    assert ": 1 of 2 frames good" in report.lines[0]


@pytest.mark.data
def test_data_sets_below_a_folder_are_found_and_other_clouds_are_read_too(kitti, semantickitti):
    np.save(kitti / "lone.npy", np.full((2, 3), np.nan, np.float32))
    report = check_folder(kitti)
    assert [line.split(" in ")[0] for line in report.lines if " in " in line] == [
        "KITTI objects training",
        "SemanticKITTI 00",
    ]
