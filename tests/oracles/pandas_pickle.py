"""Pickles as pandas before 1.3 wrote them, from classes that only have pandas' names."""

import gzip
import pickle
import sys
from contextlib import contextmanager
from types import ModuleType
from unittest import mock

import numpy as np


class DataFrame:
    def __init__(self, columns):
        self.columns = columns

    def __getstate__(self):
        return {"_data": BlockManager(self.columns), "_typ": "dataframe", "_metadata": []}


class BlockManager:
    def __init__(self, columns):
        self.columns = columns

    def __getstate__(self):
        names = list(self.columns)
        axes = [Index(np.array(names, dtype=object)), RangeIndex(len(self.columns[names[0]]))]
        blocks = []
        for kind in sorted({column.dtype.str for column in self.columns.values()}):
            places = [row for row, name in enumerate(names) if self.columns[name].dtype.str == kind]
            joined = np.stack([self.columns[names[place]] for place in places]).astype(kind)
            steady = places == list(range(places[0], places[-1] + 1))
            where = slice(places[0], places[-1] + 1, 1) if steady else np.array(places)
            blocks.append({"values": joined, "mgr_locs": where})
        items = [Index(np.array(names, dtype=object)[block["mgr_locs"]]) for block in blocks]
        return axes, [block["values"] for block in blocks], items, {"0.14.1": {"axes": axes, "blocks": blocks}}


class Index:
    def __init__(self, values):
        self.values = values

    def __reduce__(self):
        return _new_Index, (Index, {"data": self.values, "name": None})


class RangeIndex:
    def __init__(self, stop):
        self.stop = stop

    def __reduce__(self):
        return _new_Index, (RangeIndex, {"name": None, "start": 0, "stop": self.stop, "step": 1})


def _new_Index(cls, arguments):
    raise NotImplementedError


_HOMES = {
    "pandas.core.frame": (DataFrame,),
    "pandas.core.internals.managers": (BlockManager,),
    "pandas.core.indexes.base": (Index, _new_Index),
    "pandas.core.indexes.range": (RangeIndex,),
}


@contextmanager
def _disguised():
    modules = {}
    for home, members in _HOMES.items():
        parts = home.split(".")
        for depth in range(1, len(parts) + 1):
            modules.setdefault(".".join(parts[:depth]), ModuleType(".".join(parts[:depth])))
        for member in members:
            setattr(modules[home], member.__name__, member)
    own = DataFrame.__module__
    with mock.patch.dict(sys.modules, modules):
        try:
            for home, members in _HOMES.items():
                for member in members:
                    member.__module__ = home
            yield
        finally:
            for members in _HOMES.values():
                for member in members:
                    member.__module__ = own


def write_table(path, columns, protocol=4):
    """Writes columns, name to array, as ``.pkl.gz``."""
    with _disguised():
        content = pickle.dumps(DataFrame(columns), protocol)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, compresslevel=1))
