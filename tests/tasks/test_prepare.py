import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikevox.tasks import cli
from spikevox.tasks.datasets import ModelNet, farthest_points, prepare_modelnet, sample_surface
from spikevox.tasks.errors import ConfigError, DataFileError

GRID = {"voxel_size": 0.1, "origin": "minimum"}
# A unit square in the plane z = 2, as one quadrilateral; the header runs into the counts, as in the published files.
SQUARE = "OFF4 1 0\n0 0 2\n1 0 2\n1 1 2\n0 1 2\n4 0 1 2 3\n"
TETRAHEDRON = "OFF\n4 4 0\n0 0 0\n9 0 0\n0 9 0\n0 0 9\n3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n"


def archive(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, text in members.items():
            file.writestr(name, text)
    return path


def small_archive(path):
    return archive(
        path,
        {
            "ModelNet10/README.txt": "",
            "ModelNet10/night_stand/test/night_stand_0003.off": SQUARE,
            "ModelNet10/bed/train/bed_0002.off": SQUARE,
            "ModelNet10/bed/train/bed_0001.off": TETRAHEDRON,
            "ModelNet10/night_stand/train/night_stand_0001.off": TETRAHEDRON,
            "__MACOSX/ModelNet10/bed/train/._bed_0001.off": "\0",
        },
    )


def test_an_archive_becomes_files_that_training_reads(tmp_path):
    done = prepare_modelnet(small_archive(tmp_path / "a.zip"), tmp_path / "out", points=500)
    assert done.counts == {"train": 3, "test": 1}
    assert done.classes == ("bed", "night_stand")
    train = ModelNet("train+val", data_root=tmp_path / "out", grid=GRID)
    assert [train.read(i)[1:] for i in range(3)] == [(0, "bed_0001"), (0, "bed_0002"), (1, "night_stand_0001")]
    square = ModelNet("test", data_root=tmp_path / "out", grid=GRID).read(0)[0]
    assert square.shape == (500, 3)
    assert np.abs(square[:, :2]).max() == pytest.approx(1, abs=1e-4)
    assert np.array_equal(square[:, 2], np.zeros(500))
    with np.load(tmp_path / "out" / "test.npz") as file:
        xyz = file["points_q"][0] / 32767 * file["scale"][0] + file["center"][0]
    assert xyz.min(axis=0) == pytest.approx([0, 0, 2], abs=0.02)
    assert xyz.max(axis=0) == pytest.approx([1, 1, 2], abs=0.02)


def test_a_seed_gives_the_same_points_and_shapes_do_not_depend_on_each_other(tmp_path):
    def points(name, members, **options):
        done = prepare_modelnet(archive(tmp_path / "a.zip", members), tmp_path / name, points=50, **options)
        return np.load(done.folder / "test.npz")["points_q"][-1]

    alone = {"c/train/c_1.off": SQUARE, "c/test/c_3.off": SQUARE}
    more = {**alone, "c/test/c_2.off": SQUARE}
    assert np.array_equal(points("one", alone), points("other", more))
    assert not np.array_equal(points("one", alone), points("third", alone, seed=1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("OFF\n4 1 0\n0 0 0\n", r"bed_0009\.off: 4 vertices announced, 1 found: truncated"),
        ("OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2\n", r"bed_0009\.off: the mesh has 1 triangles and no area"),
        ("PLY", r"bed_0009\.off: expected 'OFF' at the beginning"),
    ],
)
def test_a_bad_mesh_is_named_and_nothing_is_written(tmp_path, text, message):
    members = {"bed/train/bed_0009.off": text, "bed/test/bed_0010.off": SQUARE}
    with pytest.raises(DataFileError, match=message):
        prepare_modelnet(archive(tmp_path / "a.zip", members), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_archives_are_refused(tmp_path):
    with pytest.raises(DataFileError, match=r"a\.zip cannot be read as zip"):
        prepare_modelnet(tmp_path / "a.zip", tmp_path / "out")
    other = archive(tmp_path / "b.zip", {"bed/train/bed_1.off": SQUARE})
    with pytest.raises(DataFileError, match=r"holds no shapes as CLASS/train/NAME\.off and CLASS/test/NAME\.off"):
        prepare_modelnet(other, tmp_path / "out")
    whole = small_archive(tmp_path / "c.zip")
    whole.write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(DataFileError, match="may be truncated"):
        prepare_modelnet(whole, tmp_path / "out")
    with pytest.raises(ConfigError, match="points must be at least 1, got 0"):
        prepare_modelnet(other, tmp_path / "out", points=0)


def test_the_command_prepares_and_counts(tmp_path, capsys):
    source, out = small_archive(tmp_path / "a.zip"), tmp_path / "out"
    assert cli.main(["data", "prepare", "modelnet", str(source), str(out), "--points", "64"]) == 0
    assert "3 training and 1 test shapes of 2 classes" in capsys.readouterr().out
    assert cli.main(["data", "prepare", "modelnet", str(out / "train.npz"), str(tmp_path / "x")]) == 1
    assert "holds no shapes" in capsys.readouterr().err


def test_points_fall_by_area_and_evenly(generator):
    # Two triangles of areas 1/2 and 3/2 side by side.
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [10, 0, 0], [13, 0, 0], [10, 1, 0]], float)
    points = sample_surface(vertices, np.array([[0, 1, 2], [3, 4, 5]]), 40_000, generator)
    first, second = points[points[:, 0] < 5], points[points[:, 0] > 5]
    assert len(second) / len(points) == pytest.approx(0.75, abs=0.01)
    # The mean of uniform points of a triangle is the mean of its corners.
    assert first.mean(axis=0) == pytest.approx([1 / 3, 1 / 3, 0], abs=0.01)
    assert second.mean(axis=0) == pytest.approx([11, 1 / 3, 0], abs=0.02)
    assert (first[:, 0] + first[:, 1] <= 1 + 1e-12).all()


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_each_point_is_the_farthest_from_those_before(seed, count):
    generator = np.random.default_rng(seed)
    xyz = generator.integers(-3, 4, (12, 3)).astype(float)
    rows = farthest_points(xyz, count)
    assert len(set(rows.tolist())) == count
    for i in range(1, count):
        distances = np.linalg.norm(xyz[:, None] - xyz[rows[:i]], axis=2).min(axis=1)
        distances[rows[:i]] = -1
        assert distances[rows[i]] == pytest.approx(distances.max())


def test_farthest_points_refuse_what_they_cannot_choose():
    with pytest.raises(ValueError, match=r"between 1 and the 3 points, got 4"):
        farthest_points(np.zeros((3, 3)), 4)
    with pytest.raises(ValueError, match=r"expected coordinates \(P, 3\), got \(3, 6\)"):
        farthest_points(np.zeros((3, 6)), 1)
