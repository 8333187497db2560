import numpy as np
import pytest

from spikevox.tasks.datasets.mesh_file import parse_off
from spikevox.tasks.datasets.points import read_points
from spikevox.tasks.errors import DataFileError

TABLE = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_tables_come_back_from_every_text_and_numpy_form(tmp_path):
    np.save(tmp_path / "a.npy", TABLE)
    np.savez(tmp_path / "b.npz", points=TABLE)
    np.savetxt(tmp_path / "c.txt", TABLE)
    np.savetxt(tmp_path / "d.csv", TABLE, delimiter=",")
    for name in ("a.npy", "b.npz", "c.txt", "d.csv"):
        file = read_points(tmp_path / name)
        assert np.array_equal(file.points, TABLE)
        assert file.columns == ("x", "y", "z")
    np.save(tmp_path / "n.npy", np.ones((2, 6)))
    assert read_points(tmp_path / "n.npy").columns[3:] == ("normal_x", "normal_y", "normal_z")


@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ply_in_every_encoding(tmp_path, kind):
    header = f"ply\nformat {kind} 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    header += "property uchar red\nelement face 0\nproperty list uchar int vertex_indices\nend_header\n"
    if kind == "ascii":
        body = "".join(f"{x} {y} {z} 7\n" for x, y, z in TABLE).encode()
    else:
        order = "<" if "little" in kind else ">"
        record = np.zeros(4, dtype=[("p", f"{order}f4", 3), ("red", "u1")])
        record["p"] = TABLE
        body = record.tobytes()
    (tmp_path / "a.ply").write_bytes(header.encode() + body)
    assert np.array_equal(read_points(tmp_path / "a.ply").points, TABLE)
    (tmp_path / "a.ply").write_bytes(header.encode() + body[:-20])
    with pytest.raises(DataFileError, match=r"a\.ply.*truncated"):
        read_points(tmp_path / "a.ply")


@pytest.mark.parametrize("header", ["OFF\n4 2 0\n", "OFF4 2 0\n", "OFF 4 2 0\n"])
def test_off_with_and_without_a_break_after_its_name(header):
    text = header + "0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n3 0 1 2\n"
    points, triangles = parse_off(text, "a.off")
    assert points.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert triangles.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("PLY", "expected 'OFF'"),
        ("OFF\n2 0 0\n0 0", "2 vertices announced, 0 found"),
        ("OFF\n3 1 0\n0 0 0 1 0 0 0 1 0\n3 0 1 9", "face 0 of 1 is missing or refers to absent vertices"),
        ("OFF\na b c", "are no numbers"),
    ],
)
def test_damaged_off_files_are_named(text, message):
    with pytest.raises(DataFileError, match=rf"a\.off: .*{message}"):
        parse_off(text, "a.off")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.bin", b"", r"is empty \(0 bytes\)"),
        ("a.bin", b"\0" * 18, "no whole number of points of 4 float32"),
        ("a.pcd.bin", b"\0" * 16, "no whole number of points of 5 float32"),
        ("a.npy", b"\x93NUMPY\x01", "may be truncated"),
        ("a.npz", b"PK\x03\x04nonsense", "may be truncated"),
        ("a.txt", b"one two three\n", "may be truncated or of another format"),
        ("a.ply", b"ply\nformat ascii 1.0\n", "expected a PLY header"),
        ("a.xml", b"<a/>", "unknown format"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataFileError, match=message) as error:
        read_points(path)
    assert error.value.path == path
    assert name in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataFileError, match="is not there"):
        read_points(tmp_path / "a.bin")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "count", "columns"),
    [
        ("kitti/training/velodyne/000000.bin", 1846144 // 16, 4),
        ("semantickitti/sequences/00/velodyne/000000.bin", 1994688 // 16, 4),
        ("nuscenes/n015-2018-07-24-11-22-45+0800__LIDAR_TOP__1532402927647951.pcd.bin", 693760 // 20, 5),
        ("pandaset/002/00.npz", None, 4),
    ],
)
def test_real_scans_are_read_whole(data, name, count, columns):
    file = read_points(data(name))
    assert file.points.shape[1] == columns == len(file.columns)
    assert count is None or len(file.points) == count
    assert np.isfinite(file.points).all()
    assert 20 < np.abs(file.points[:, :2]).max() < 330
