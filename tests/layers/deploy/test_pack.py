"""Weight packs: what is read is what was written, and nothing else is read."""

import io
import re
import zipfile

import numpy as np
import pytest

from layers.deploy.networks import cloud
from layers.networks import firing
from spikevox.layers import SubmanifoldConv3d
from spikevox.layers.backbones import Voxel8x
from spikevox.layers.deploy import load_pack, save_pack, to_integer
from spikevox.layers.deploy.pack import VERSION
from spikevox.layers.errors import DeployFileError


@pytest.fixture(scope="module")
def program():
    x = cloud(count=200)
    facts = {"class_names": ["car", "tree"]}
    return to_integer(firing(Voxel8x(3, size="small", grid=(9, 9, 33)).double(), x), [x], facts=facts).program


@pytest.fixture
def path(program, tmp_path):
    save_pack(program, tmp_path / "pack.npz")
    return tmp_path / "pack.npz"


def assert_same(one, other):
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    elif hasattr(one, "__dataclass_fields__"):
        for name in one.__dataclass_fields__:
            assert_same(getattr(one, name), getattr(other, name))
    else:
        assert one == other


def test_what_is_read_is_what_was_written(program, path):
    assert_same(load_pack(path), program)
    assert load_pack(path).facts == {"class_names": ["car", "tree"]}
    assert {output.name for output in load_pack(path).outputs} == {
        "spikes", "membranes.0", "membranes.1", "membranes.2"
    }  # fmt: skip


def test_the_same_network_gives_the_same_bytes_and_leaves_nothing_beside(program, path, tmp_path):
    save_pack(program, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["again.npz", "pack.npz"]


def test_numpy_alone_reads_it(program, path):
    with np.load(path, allow_pickle=False) as pack:
        assert pack["header"][1] == VERSION
        assert pack["weight/0/0"].dtype == np.int8
        assert pack["weight/0/0"].shape == program.layers[0].sources[0].weight.shape
        kernel = np.array([[x, y, z] for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1)])
        np.testing.assert_array_equal(pack["offsets/0"], kernel)


def test_every_cut_is_told_with_the_files_name(path):
    content = path.read_bytes()
    for length in [0, 1, 21, 22, *range(100, len(content), 9973), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(DeployFileError, match=re.escape(str(path))):
            load_pack(path)


def test_every_flipped_byte_of_an_array_is_noticed(path, generator):
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    for member in members[::4]:
        broken = bytearray(content)
        at = member.header_offset + 30 + len(member.filename) + int(generator.integers(member.file_size))
        broken[at] ^= 1 << int(generator.integers(8))
        path.write_bytes(broken)
        with pytest.raises(DeployFileError):
            load_pack(path)


def rewrite(path, compression=zipfile.ZIP_STORED, **changes):
    """The pack with other arrays: a name to an array, to bytes, or to None to leave it out."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            change = changes.get(name.removesuffix(".npy"), content)
            if isinstance(change, np.ndarray):
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, change, version=(1, 0), allow_pickle=True)
                change = buffer.getvalue()
            if change is not None:
                archive.writestr(name, change)


def changed(path, name, index, value):
    with np.load(path) as pack:
        array = pack[name].copy()
    array[index] = value
    return {name: array}


HUGE = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
HUGE += b"{'descr': '<i8', 'fortran_order': False, 'shape': (1099511627776, 4), }".ljust(117) + b"\n"


@pytest.mark.parametrize(
    ("name", "index", "value", "text"),
    [
        ("header", 0, 5, "an .npz file, but not a weight pack"),
        ("header", 1, 2, "a weight pack of version 2; this reads version 1"),
        ("header", 5, 2**40, "impossible numbers"),
        ("header", 6, 3, "not a name for each layer"),
        ("sites", (1, 0), 7, "sites 1: they cannot be derived from sites 7"),
        ("sites", (1, 11), 0, "sites 1: strides, kernels"),
        ("sites", (1, 5), 4, "tensor stride is not their parent's"),
        ("unit/0", 0, 3, "powers of two"),
        ("maps", (0, 1), 99, "map 0: number 99"),
        ("offsets/0", (0, 0), 2**30, "offsets beyond"),
        ("tables", (2, 0), 0, "table 2: the input"),
        ("tables", (1, 1), 50, "table 1: number 50"),
        ("thresholds/2", (0, 0), 2**30, "table 2: its thresholds do not ascend"),
        ("layers", (1, 2), 44, "number 44 must be below"),
        ("layers", (1, 1), -1, "impossible length"),
        ("sources/1", 0, 30, "reads table 30, which is not written before"),
        ("results/1", 0, 0, "cannot write table 0"),
        ("shift/1", 0, 63, "shifts are 1 to 62"),
        ("shift/1", 0, -1, "shifts are 1 to 62"),
        ("multiplier/1", 0, -5, "multipliers are not negative"),
        ("shift/0", 0, 1, "its membrane may reach"),
        ("bias/1", 0, 2**62, "may leave int64|may reach"),
        ("outputs", (0, 0), 77, "table 77 is written by no layer"),
        ("outputs", (0, 1), 3, "outputs holds the number 3"),
    ],
)
def test_numbers_that_do_not_fit_are_told_with_their_place(path, name, index, value, text):
    rewrite(path, **changed(path, name, index, value))
    with pytest.raises(DeployFileError, match=text):
        load_pack(path)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"fraction": None}, "fraction is missing"),
        ({"fraction": np.zeros(3)}, "fraction must be int32 .3,. in C order, and is float64"),
        ({"fraction": np.array([None, {}, 3], dtype=object)}, "fraction must be int32|no array"),
        ({"maps": HUGE}, "maps must be|maps holds 0 bytes"),
        ({"maps": b"text"}, "maps is no array of numpy's format 1.0"),
        ({"facts": np.frombuffer(b"[1, 2", np.uint8)}, "facts do not tell the names"),
        ({"facts": np.frombuffer(b'{"layers": [], "outputs": [], "facts": {}}', np.uint8)}, "not a name for each"),
        ({"layers": np.zeros((23, 7), np.int64, order="F")}, "layers must be"),
    ],
)
def test_arrays_that_do_not_fit_are_told(path, changes, text):
    rewrite(path, **changes)
    with pytest.raises(DeployFileError, match=text):
        load_pack(path)


def test_compressed_members_are_refused(path):
    rewrite(path, zipfile.ZIP_DEFLATED)
    with pytest.raises(DeployFileError, match="header is compressed"):
        load_pack(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, a=np.zeros(3))
    with pytest.raises(DeployFileError, match="header is missing"):
        load_pack(path)
    path.write_bytes(b"{}")
    with pytest.raises(DeployFileError, match="not a whole archive"):
        load_pack(path)
    with pytest.raises(FileNotFoundError):
        load_pack(tmp_path / "absent.npz")


def test_a_network_without_neurons_is_a_pack_too(tmp_path):
    x = cloud(count=50)
    network = to_integer(SubmanifoldConv3d(3, 4).double(), [x])
    save_pack(network.program, tmp_path / "one.npz")
    assert_same(load_pack(tmp_path / "one.npz"), network.program)
