"""Event lists: what is read is what was written, and nothing else is read."""

import re
import struct
import zlib

import numpy as np
import pytest

from layers.deploy.networks import cloud
from layers.networks import firing
from spikevox.layers.backbones import Encoder
from spikevox.layers.deploy import load_events, record_events, save_events, to_integer
from spikevox.layers.errors import DeployFileError


@pytest.fixture(scope="module")
def recorded():
    x = cloud(count=120)
    network = to_integer(firing(Encoder("T", 3).double(), x), [x])
    result = network(x)
    return record_events(network.program, result.tables, result.sites, 4), result


@pytest.fixture
def path(recorded, tmp_path):
    save_events(recorded[0], tmp_path / "events.bin")
    return tmp_path / "events.bin"


def test_what_is_read_is_what_was_written(recorded, path):
    written, result = recorded
    read = load_events(path)
    assert read.samples == 4
    for one, other in zip(read.sites, written.sites, strict=True):
        assert one.tensor_stride == other.tensor_stride
        np.testing.assert_array_equal(one.coordinates, other.coordinates)
    for stream, known in zip(read.streams, written.streams, strict=True):
        assert stream[:4] == known[:4]
        np.testing.assert_array_equal(stream.dense(len(result.tables[stream.table])), result.tables[stream.table])


def test_bytes_are_those_of_the_table_in_the_documentation(path):
    content = path.read_bytes()
    assert content[:8] == b"SPVXEVTS"
    version, samples, sets, streams = struct.unpack_from("<4I", content, 8)
    assert (version, samples, sets, streams) == (1, 4, 5, 19)
    stride, count = struct.unpack_from("<3I", content, 24), struct.unpack_from("<I", content, 36)[0]
    assert stride == (1, 1, 1)
    first = struct.unpack_from("<4i", content, 40)
    assert first == tuple(load_events(path).sites[0].coordinates[0].tolist())
    assert count == len(load_events(path).sites[0].coordinates)
    assert struct.unpack("<I", content[-4:])[0] == zlib.crc32(content[:-4])


def test_every_cut_and_flip_is_noticed(path, generator):
    content = path.read_bytes()
    for length in [0, 7, 8, 23, 30, *range(40, len(content), 997), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(DeployFileError, match=re.escape(str(path))):
            load_events(path)
    for at in generator.integers(len(content), size=200).tolist():
        broken = bytearray(content)
        broken[at] ^= 1 << int(generator.integers(8))
        path.write_bytes(broken)
        with pytest.raises(DeployFileError):
            load_events(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(DeployFileError):
        load_events(path)


def sealed(content):
    return content + struct.pack("<I", zlib.crc32(content))


HEAD = b"SPVXEVTS" + struct.pack("<4I", 1, 2, 1, 1)
SITES = struct.pack("<4I", 2, 2, 2, 2) + struct.pack("<8i", 0, -2, 0, 4, 1, 0, 0, 0)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"SPVXEVTS" + struct.pack("<4I", 2, 2, 1, 1) + SITES, "version 2; this reads version 1"),
        (b"SPVXEVTS" + struct.pack("<4I", 1, 2**31, 1, 1) + SITES, "of 2147483648 samples; there are 1048576 at most"),
        (HEAD + struct.pack("<4I", 2, 2, 2, 2**32 - 1), "in the middle of its content"),
        (HEAD + struct.pack("<4I", 0, 2, 2, 0) + struct.pack("<5I", 0, 0, 1, 0, 0), "a stride below 1"),
        (HEAD + SITES[:16] + struct.pack("<8i", 0, -2, 0, 4, 2, 0, 0, 0), "samples outside of 2"),
        (HEAD + SITES[:16] + struct.pack("<8i", 1, -2, 0, 4, 0, 0, 0, 0), "do not ascend in steps"),
        (HEAD + SITES[:16] + struct.pack("<8i", 0, -2, 0, 4, 0, -2, 0, 4), "do not ascend in steps"),
        (HEAD + SITES[:16] + struct.pack("<8i", 0, -2, 0, 5, 1, 0, 0, 0), "do not ascend in steps"),
        (HEAD + SITES + struct.pack("<5I", 0, 3, 1, 0, 0), "sites 3, 1 channels"),
        (HEAD + SITES + struct.pack("<5I", 0, 0, 0, 0, 0), "0 channels"),
        (HEAD + SITES + struct.pack("<5I", 0, 0, 1, 0, 1) + struct.pack("<IHh", 2, 0, 1), "an address that does not"),
        (HEAD + SITES + struct.pack("<5I", 0, 0, 1, 0, 1) + struct.pack("<IHh", 1, 1, 1), "an address that does not"),
        (HEAD + SITES + struct.pack("<5I", 0, 0, 1, 0, 2) + 2 * struct.pack("<IHh", 1, 0, 1), "do not ascend"),
        (HEAD + SITES + struct.pack("<5I", 0, 0, 1, 0, 1) + struct.pack("<IHh", 1, 0, 0), "say nothing"),
        (HEAD + SITES + struct.pack("<5I", 1, 0, 1, 4, 1) + struct.pack("<IHh", 1, 0, 5), "outside of 1 to 4"),
    ],
)
def test_content_that_does_not_fit_is_told(tmp_path, content, text):
    path = tmp_path / "events.bin"
    path.write_bytes(sealed(content))
    with pytest.raises(DeployFileError, match=text):
        load_events(path)
