import gzip
import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from oracles.pandas_pickle import write_table
from spikevox.tasks.datasets.restricted_pickle import read_table
from spikevox.tasks.errors import DataFileError
from tasks.pickled.make import CUBOIDS, POINTS

PICKLED = Path(__file__).parent / "pickled"


@pytest.mark.parametrize("version", ["1.5", "2.2", "3.1"])
def test_tables_that_pandas_wrote(version):
    table = read_table(PICKLED / f"pandas_{version}_cuboids.pkl")
    motion = table.pop("attributes.object_motion").tolist()
    assert motion[0] == "Moving"
    assert {name: column.tolist() for name, column in table.items()} == CUBOIDS
    points = read_table(PICKLED / f"pandas_{version}_points.pkl")
    assert {name: column.tolist() for name, column in points.items()} == POINTS


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tables_in_the_form_of_older_versions(tmp_path, protocol):
    generator = np.random.default_rng(protocol)
    columns = {
        "x": generator.normal(size=50),
        "d": generator.integers(0, 2, 50),
        "y": generator.normal(size=50),
        "n": generator.integers(0, 99, 50).astype(">i2"),
        "s": np.array([f"é{row}" for row in range(50)], dtype=object),
    }
    write_table(tmp_path / "a.pkl.gz", columns, protocol)
    table = read_table(tmp_path / "a.pkl.gz")
    assert list(table) == list(columns)
    for name, column in columns.items():
        assert np.array_equal(table[name], column)
        assert table[name].dtype == column.dtype


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": np.zeros(3), "b": np.zeros(2)}, r"columns of the shapes \[\(2,\), \(3,\)\]"),
        ({"a": np.zeros((3, 1))}, r"columns of the shapes \[\(3, 1\)\]"),
        ({}, r"columns of the shapes \[\]"),
    ],
)
def test_columns_that_make_no_table_are_refused(tmp_path, columns, message):
    body = pickle.dumps(columns, 3)[2:-1]
    (tmp_path / "a.pkl").write_bytes(b"\x80\x03cpandas\nDataFrame\n" + body + b"\x85R.")
    with pytest.raises(DataFileError, match=message):
        read_table(tmp_path / "a.pkl")


class Hostile:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("suffix", [".pkl", ".pkl.gz"])
@pytest.mark.parametrize(
    ("function", "name"),
    [(os.system, "(posix|nt).system"), (eval, "builtins.eval"), (getattr, "builtins.getattr"), (open, "_?io.open")],
)
def test_a_hostile_pickle_is_refused_and_does_not_run(tmp_path, function, name, suffix):
    marker = tmp_path / "ran"
    arguments = {
        os.system: (f"touch {marker}",),
        eval: (f"__import__('pathlib').Path({str(marker)!r}).touch()",),
        getattr: (marker, "touch"),
        open: (str(marker), "w"),
    }[function]
    content = pickle.dumps({"_mgr": Hostile(function, *arguments)})
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    with pytest.raises(DataFileError, match=rf"a\.pkl.* was not read: it asks for {name}, which a table"):
        read_table(path)
    assert not marker.exists()
    if function is not getattr:
        opened = pickle.loads(content)["_mgr"]
        if function is open:
            opened.close()
        assert marker.exists()  # the same bytes do run elsewhere


@pytest.mark.parametrize("name", ["DataFrame.__init__", "read_pickle", "DataFrame.to_csv"])
def test_other_names_of_known_modules_are_refused(tmp_path, name):
    stream = b"\x80\x04\x8c\x11pandas.core.frame\x8c" + bytes([len(name)]) + name.encode() + b"\x93."
    (tmp_path / "a.pkl").write_bytes(stream)
    with pytest.raises(DataFileError, match=rf"asks for pandas\.core\.frame\.{name}"):
        read_table(tmp_path / "a.pkl")


def test_objects_from_outside_and_other_content_are_refused(tmp_path):
    class Outside(pickle.Pickler):
        def persistent_id(self, value):
            return "elsewhere" if value == "x" else None

    buffer = io.BytesIO()
    Outside(buffer).dump(["x"])
    (tmp_path / "a.pkl").write_bytes(buffer.getvalue())
    with pytest.raises(DataFileError, match="the outside object 'elsewhere'"):
        read_table(tmp_path / "a.pkl")
    (tmp_path / "b.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(DataFileError, match=r"b\.pkl cannot be read as a pickled table.*it holds a list"):
        read_table(tmp_path / "b.pkl")
    with pytest.raises(DataFileError, match=r"c\.pkl is not there"):
        read_table(tmp_path / "c.pkl")
    (tmp_path / "d.pkl.gz").touch()
    with pytest.raises(DataFileError, match=r"d\.pkl\.gz is empty"):
        read_table(tmp_path / "d.pkl.gz")


@pytest.mark.parametrize("name", ["pandas_1.5_points", "pandas_2.2_cuboids", "pandas_3.1_cuboids"])
def test_a_truncated_file_is_an_error_wherever_it_ends(tmp_path, name):
    content = (PICKLED / f"{name}.pkl").read_bytes()
    path = tmp_path / "a.pkl"
    for length in range(1, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(DataFileError, match=r"a\.pkl cannot be read as a pickled table"):
            read_table(path)
    packed = gzip.compress(content)
    path = tmp_path / "b.pkl.gz"
    for length in range(1, len(packed), 29):
        path.write_bytes(packed[:length])
        with pytest.raises(DataFileError, match=r"b\.pkl\.gz cannot be read as a pickled table"):
            read_table(path)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_bytes_give_a_table_or_the_error(tmp_path, seed):
    generator = np.random.default_rng(seed)
    content = (PICKLED / "pandas_2.2_cuboids.pkl").read_bytes()
    path = tmp_path / "a.pkl"
    errors = 0
    for _ in range(250):
        damaged = bytearray(content)
        for place in generator.integers(0, len(content), 3):
            damaged[place] = generator.integers(0, 256)
        path.write_bytes(damaged)
        try:
            read_table(path)
        except DataFileError:
            errors += 1
    assert errors > 100
