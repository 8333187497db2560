"""Reads pickled pandas tables without pandas, and without running anything that the file names.

A pickle names functions that unpickling calls. Here every name leads to one of the classes below, which only keep what they
are given, or is refused. Arrays are made from their bytes by :func:`numpy.frombuffer`, never by numpy's own unpickling.
"""

import gzip
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.errors import DataFileError


def read_table(path: str | Path) -> dict[str, NDArray[Any]]:
    """Columns of a pandas DataFrame in a ``.pkl`` or ``.pkl.gz``, by name, each (rows,).

    Tables of numbers, truth values and text are read, as pandas 0.20 to 3 pickle them.

    Raises:
        DataFileError: a file that is missing, empty or truncated, that holds something else, or that names a function or
            class which such tables do not need; the message says which.
    """
    path = Path(path)
    if not path.is_file():
        raise DataFileError(f"{path} is not there.", path)
    if path.stat().st_size == 0:
        raise DataFileError(f"{path} is empty (0 bytes).", path)
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            content = _Unpickler(file).load()
            # Reading on to the end also compares the checksum of a .gz.
            if file.read(1):
                raise ValueError("more follows after the table")
            if not isinstance(content, _Frame):
                raise TypeError(f"it holds a {type(content).__name__.strip('_').lower()}, no table")
            return content.columns()
    except _RefusedError as error:
        raise DataFileError(
            f"{path} was not read: it asks for {error}, which a table of numbers and text has no use for. Do not open it "
            "with other tools unless you trust where it comes from.",
            path,
        ) from error
    # A damaged pickle can go wrong in every operation that it asks for.
    except (Exception, MemoryError) as error:
        raise DataFileError(
            f"{path} cannot be read as a pickled table ({type(error).__name__}: {error}); it may be truncated.", path
        ) from error


class _RefusedError(Exception):
    """A name that is not on the list."""


class _Part:
    """What a name in a pickle leads to: keeps its arguments and its state."""

    arguments: tuple[Any, ...]
    state: Any

    # Not __init__, which pickle leaves out where it makes an object from its class.
    def __new__(cls, *arguments: Any) -> "_Part":
        part = super().__new__(cls)
        part.arguments, part.state = arguments, None
        return part

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Name(_Part):
    """A class that is only named, such as ndarray in the arguments of its maker."""


class _Dtype(_Part):
    def dtype(self) -> np.dtype[Any]:
        code = self.arguments[0]
        if not isinstance(code, str) or code[:1] not in "biufO":
            raise TypeError(f"arrays of dtype {code!r} are not read")
        order = self.state[1] if self.state else "="
        return np.dtype(code).newbyteorder(">" if order == ">" else "<")


class _Array(_Part):
    """An array in its old form, made empty and then given a state: version, shape, dtype, column order, content."""

    def array(self) -> NDArray[Any]:
        _, shape, dtype, by_column, content = self.state
        return _array(content, dtype, shape, "F" if by_column else "C")


class _FromBuffer(_Array):
    """An array in the form of pickle's protocol 5: content, dtype, shape, order."""

    def array(self) -> NDArray[Any]:
        content, dtype, shape, order = self.arguments
        return _array(content, dtype, shape, order)


class _Scalar(_Part):
    def value(self) -> Any:
        dtype, content = self.arguments
        return _array(content, dtype, (), "C").item()


class _Encode(_Part):
    """Bytes as protocol 2 writes them: text in latin1."""

    def content(self) -> bytes:
        text, encoding = self.arguments
        if encoding != "latin1":
            raise ValueError(f"text in {encoding!r}")
        return bytes(text, "latin1")


class _Strings(_Part):
    """pandas' array of text: its state is a dtype and an array of objects."""

    def array(self) -> NDArray[Any]:
        parts = [part for part in self.state if isinstance(part, _Array)]
        return parts[0].array()


class _Slice(_Part):
    def rows(self) -> NDArray[np.int64]:
        first, last, step = (int(value) for value in self.arguments)
        # A slice of columns; none of these tables has more.
        if step == 0 or abs(last - first) > 100_000:
            raise ValueError(f"slice {first}:{last}:{step}")
        return np.arange(first, last, step, dtype=np.int64)


class _Index(_Part):
    """An index or names of columns: its class and a dict with ``data``."""

    def names(self) -> list[str]:
        return [str(name) for name in _values(self.arguments[1]["data"])]


class _Block(_Part):
    """Columns of one dtype: (columns, rows) and where they stand."""

    def part(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        values, place, _ = self.arguments
        return _block(values, place)


class _Manager(_Part):
    """A table's blocks and axes: as arguments, or in older files in the state under the version that introduced it."""

    def columns(self) -> dict[str, NDArray[Any]]:
        if self.arguments:
            blocks, axes = self.arguments
            parts = [block.part() for block in blocks]
        else:
            state = self.state[3]["0.14.1"]
            axes = state["axes"]
            parts = [_block(block["values"], block["mgr_locs"]) for block in state["blocks"]]
        names = axes[0].names()
        found: dict[str, NDArray[Any]] = {}
        for values, places in parts:
            for row, place in zip(values, places, strict=True):
                found[names[place]] = row
        if set(found) != set(names) or len({len(column) for column in found.values()}) > 1:
            raise ValueError("columns are missing or differ in length")
        return {name: found[name] for name in names}


class _Frame(_Part):
    """A table with a state, as pandas pickles it, or made of a dict of columns, as :func:`write_pandaset` writes it."""

    def columns(self) -> dict[str, NDArray[Any]]:
        if self.state is None:
            (columns,) = self.arguments
            found = {str(name): _values(column) for name, column in columns.items()}
            shapes = {column.shape for column in found.values()}
            if len(shapes) != 1 or any(len(shape) != 1 for shape in shapes):
                raise ValueError(f"columns of the shapes {sorted(shapes)}")
            return found
        manager: _Manager = self.state["_mgr" if "_mgr" in self.state else "_data"]
        return manager.columns()


def _array(content: Any, dtype: _Dtype, shape: Any, order: str) -> NDArray[Any]:
    kind = dtype.dtype()
    if kind.hasobject:
        values = np.empty(len(content), dtype=object)
        values[:] = [_value(value) for value in content]
        return values.reshape(shape, order="F" if order == "F" else "C")
    if isinstance(content, _Encode):
        content = content.content()
    return np.frombuffer(bytes(content), dtype=kind).reshape(shape, order="F" if order == "F" else "C")


def _value(value: Any) -> Any:
    if isinstance(value, _Scalar):
        return value.value()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"cells that hold a {type(value).__name__}")


def _values(part: Any) -> NDArray[Any]:
    values: NDArray[Any] = part.array()
    return values


def _block(values: Any, place: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    columns = np.atleast_2d(_values(values))
    return columns, place.rows() if isinstance(place, _Slice) else _values(place)


_INDEXES = ("Index", "RangeIndex", "Int64Index", "UInt64Index", "Float64Index")
_KNOWN: dict[tuple[str, str], type[_Part]] = {
    ("numpy", "ndarray"): _Name,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Encode,
    ("builtins", "slice"): _Slice,
    ("__builtin__", "slice"): _Slice,
    ("pandas", "DataFrame"): _Frame,
    ("pandas.core.frame", "DataFrame"): _Frame,
    ("pandas.core.internals.managers", "BlockManager"): _Manager,
    ("pandas.core.internals", "BlockManager"): _Manager,
    ("pandas._libs.internals", "_unpickle_block"): _Block,
    ("pandas.core.indexes.base", "_new_Index"): _Index,
    ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"): _Strings,
    ("pandas.arrays", "StringArray"): _Name,
    ("pandas.core.arrays.string_", "StringArray"): _Name,
    ("pandas", "StringDtype"): _Name,
    ("pandas.core.arrays.string_", "StringDtype"): _Name,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _FromBuffer for core in ("core", "_core")},
    **{("pandas", name): _Name for name in _INDEXES},
    **{(f"pandas.core.indexes.{part}", name): _Name for part in ("base", "range", "numeric") for name in _INDEXES},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise _RefusedError(f"{module}.{name}")
        return _KNOWN[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise _RefusedError(f"the outside object {pid!r}")
