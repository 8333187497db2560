"""The player in C: compiled without a warning, equal to the simulator bit for bit, and not to be fooled by a file."""

import os
import shutil
import subprocess
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from layers.deploy.networks import NETWORKS, cloud
from layers.deploy.test_pack import changed, rewrite
from layers.networks import firing
from spikevox.layers import deploy
from spikevox.layers.deploy import record_events, save_events, save_pack, simulate, to_integer

SOURCE = Path(deploy.__file__).with_name("player.c")
COMPILER = shutil.which("cc")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler (cc)")
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]


def compiled(folder, *options):
    target = folder / "player"
    subprocess.run([COMPILER, *FLAGS, *options, "-o", target, SOURCE], check=True)
    return target


@pytest.fixture(scope="module")
def player(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("player"), "-O2")


def play(player, pack, out, *events):
    # What does not fit into memory is told by the player, not by the sanitizer.
    environment = {**os.environ, "ASAN_OPTIONS": "allocator_may_return_null=1"}
    return subprocess.run([player, pack, out, *events], capture_output=True, text=True, check=False, env=environment)


def results(path):
    content, at = path.read_bytes(), 0
    while at < len(content):
        rows, columns = np.frombuffer(content, "<i8", 2, at)
        yield np.frombuffer(content, "<f8", rows * columns, at + 16).reshape(rows, columns)
        at += 16 + 8 * rows * columns


@pytest.mark.parametrize("name", NETWORKS)
def test_results_are_those_of_the_simulator_bit_for_bit(player, name, tmp_path):
    clouds = [cloud(seed=0), cloud(seed=1, count=300, samples=1, batch_size=1)]
    network = to_integer(firing(NETWORKS[name]().double(), clouds[0]), clouds)
    save_pack(network.program, tmp_path / "pack.npz")
    expected, paths = [], []
    for number, x in enumerate(clouds):
        result = network(x)
        # With all that was fired, and with the input alone.
        events = record_events(network.program, result.tables, result.sites, x.batch_size, input_only=number == 1)
        paths.append(tmp_path / f"{number}.events")
        save_events(events, paths[-1])
        expected += simulate(network.program, events).outputs
    done = play(player, tmp_path / "pack.npz", tmp_path / "out", *paths)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found = list(results(tmp_path / "out"))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert one.tobytes() == np.ascontiguousarray(other).tobytes()
        assert np.abs(one).max() > 0


@pytest.fixture
def files(tmp_path):
    x = cloud(count=60)
    network = to_integer(firing(NETWORKS["encoder"]().double(), x), [x])
    result = network(x)
    save_pack(network.program, tmp_path / "pack.npz")
    save_events(record_events(network.program, result.tables, result.sites, 4), tmp_path / "events")
    return tmp_path / "pack.npz", tmp_path / "events", tmp_path / "out"


def test_damaged_files_end_with_a_message(player, files):
    pack, events, out = files
    for path, other in ((pack, (pack, out, events)), (events, (pack, out, events))):
        content = path.read_bytes()
        for length in (0, 7, 30, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:length])
            done = play(player, *other)
            assert done.returncode == 1
            assert done.stderr.startswith(f"player: {path}: ")
        path.write_bytes(content)
    done = play(player, pack.with_name("absent"), out, events)
    assert (done.returncode, done.stderr) == (1, f"player: {pack.with_name('absent')}: cannot be opened\n")
    assert subprocess.run([player, pack], capture_output=True, check=False).returncode == 2


@pytest.mark.parametrize(
    ("name", "index", "value", "text"),
    [
        ("header", 0, 5, "not a weight pack"),
        ("header", 1, 2, "another version than 1"),
        ("header", 6, 2**40, "a number of the header"),
        ("sites", (1, 0), 7, "the parent of sites"),
        ("offsets/0", (0, 0), 2**30, "an offset"),
        ("tables", (1, 1), 50, "the sites of a table"),
        ("tables", (1, 2), 2**50, "the channels of a table"),
        ("layers", (1, 2), 44, "the map of a layer"),
        ("sources/1", 0, 2**33, "sources"),
        ("sources/1", 0, 2, "read before it is written"),
        ("results/1", 0, 1, "written twice|a result"),
        ("shift/1", 0, 63, "a shift"),
        ("shift/1", 0, 1, "overflows"),
        ("bias/1", 0, 2**63 - 1, "overflows"),
        ("outputs", (0, 0), 77, "the table of an output"),
    ],
)
def test_numbers_that_do_not_fit_end_with_a_message(player, files, name, index, value, text):
    pack, events, out = files
    rewrite(pack, **changed(pack, name, index, value))
    done = play(player, pack, out, events)
    assert done.returncode == 1
    assert any(part in done.stderr for part in text.split("|")), done.stderr


def assert_ends(done):
    assert done.returncode in (0, 1), done.stderr
    assert "runtime error" not in done.stderr
    assert "ERROR: AddressSanitizer" not in done.stderr, done.stderr
    return done.returncode


@pytest.mark.slow
def test_no_file_makes_it_read_or_write_where_it_must_not(files, tmp_path_factory, generator):
    """Under the sanitizers of addresses and of undefined behaviour, with numbers of every array changed by chance."""
    player = compiled(
        tmp_path_factory.mktemp("sanitized"), "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"
    )
    pack, events, out = files
    assert play(player, pack, out, events).returncode == 0
    recorded = events.read_bytes()
    for _ in range(100):
        broken = bytearray(recorded[:-4])
        # Near the beginning stand the counts.
        at = int(generator.integers(8, len(broken) if generator.random() < 0.3 else 60))
        broken[at] = int(generator.integers(256))
        events.write_bytes(broken + zlib.crc32(broken).to_bytes(4, "little"))
        assert_ends(play(player, pack, out, events))
    events.write_bytes(recorded)
    content = pack.read_bytes()
    with zipfile.ZipFile(pack) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    names = [name for name in names if name != "facts"]
    ended = {0: 0, 1: 0}
    for _ in range(150):
        pack.write_bytes(content)
        name = str(generator.choice(names))
        with np.load(pack) as arrays:
            array = arrays[name].copy()
        if not array.size:
            continue
        limits = np.iinfo(array.dtype)
        wild = int(
            generator.choice([limits.min, limits.max, -1, 0, 1, 2, int(generator.integers(limits.min, limits.max))])
        )
        array.flat[int(generator.integers(array.size))] = wild
        rewrite(pack, **{name: array})
        ended[assert_ends(play(player, pack, out, events))] += 1
    assert min(ended.values()) > 8, ended
