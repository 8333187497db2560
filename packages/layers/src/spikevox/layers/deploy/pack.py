r"""The weight pack: a program in integers as one file, an .npz that numpy opens and a player in C reads. Imports no torch.

Version 1. The archive is not compressed, and its members are arrays of numpy's format 1.0, little-endian, in C order:

| member | type, shape | what |
|---|---|---|
| `header` | int64 (8,) | 0x4b41505658564b53, version, C of the input, numbers of sets of sites, maps, tables, layers, outputs |
| `fraction` | int32 (C,) | places behind the point of each channel of the input |
| `sites` | int64 (S, 20) | parent, floor, then x, y, z of extent, tensor stride, kernel, stride, padding, dilation |
| `unit/s` | int32 (C_s,) | what stands for 1 in membranes on set s |
| `maps` | int64 (M, 3) | input set, output set, K |
| `offsets/m` | int32 (K, 3) | kernel offsets x, y, z in coordinates |
| `tables` | int64 (T, 4) | kind (0 input, 1 membrane, 2 spikes), set of sites, C, D |
| `thresholds/t` | int32 (D, C) | of spikes |
| `layers` | int64 (L, 7) | set of sites, C, map or -1, transposed, numbers of sources, residuals, results |
| `sources/l`, `residuals/l`, `results/l` | int64 (n,) | tables |
| `weight/l/j` | int8 (K, C_in, C) | of source j |
| `multiplier/l`, `shift/l` | int32 (C,) | of the branch |
| `bias/l` | int64 (C,) | its offset |
| `outputs` | int64 (O, 2) | table, pool (0 none, 1 mean, 2 sum) |
| `facts` | uint8 (n,) | JSON in UTF-8: names of layers and outputs, and what the maker wanted to keep |

What the numbers mean stands with :class:`~spikevox.layers.deploy.program.Program`.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikevox.layers.deploy.program import IntegerLayer, MapRule, Program, ProgramOutput, SiteRule, Source, Table
from spikevox.layers.deploy.program_check import check_program
from spikevox.layers.errors import DeployFileError, GraphError

VERSION = 1
MAGIC = 0x4B41505658564B53
_KINDS = ("input", "membrane", "spikes")
_POOLS = ("none", "mean", "sum")
# Of any count in a header: far above what a network has, far below what would fill a memory.
_MOST = 1 << 16
_EPOCH = (1980, 1, 1, 0, 0, 0)


def save_pack(program: Program, path: str | Path) -> None:
    """Writes a program; the same program gives the same bytes.

    The file is written beside its place and then moved there, so that none is left half written.
    """
    target = Path(path)
    beside = target.with_name(target.name + ".part")
    with zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as archive:
        for name, array in _arrays(program).items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), content.getvalue())
    beside.replace(target)


def _arrays(program: Program) -> dict[str, NDArray[Any]]:
    counts = [len(part) for part in (program.sites, program.maps, program.tables, program.layers, program.outputs)]
    names = {"layers": [one.name for one in program.layers], "outputs": [one.name for one in program.outputs]}
    facts = json.dumps({**names, "facts": program.facts}, sort_keys=True).encode()
    arrays: dict[str, NDArray[Any]] = {
        "header": _int64([MAGIC, VERSION, len(program.fraction), *counts]),
        "fraction": program.fraction,
        "sites": _int64([_site_row(rule) for rule in program.sites], 20),
        "maps": _int64([(rule.inputs, rule.outputs, len(rule.offsets)) for rule in program.maps], 3),
        "tables": _int64([(_KINDS.index(t.kind), t.sites, t.channels, t.levels) for t in program.tables], 4),
        "layers": _int64([_layer_row(layer) for layer in program.layers], 7),
        "outputs": _int64([(one.table, _POOLS.index(one.pool)) for one in program.outputs], 2),
        "facts": np.frombuffer(facts, np.uint8),
    }
    arrays |= {f"unit/{i}": unit for i, unit in enumerate(program.units)}
    arrays |= {f"offsets/{i}": rule.offsets for i, rule in enumerate(program.maps)}
    arrays |= {f"thresholds/{i}": t.thresholds for i, t in enumerate(program.tables) if t.kind == "spikes"}
    for i, layer in enumerate(program.layers):
        arrays[f"sources/{i}"] = _int64([source.table for source in layer.sources])
        arrays[f"residuals/{i}"] = _int64(layer.residuals)
        arrays[f"results/{i}"] = _int64(layer.results)
        arrays[f"multiplier/{i}"], arrays[f"shift/{i}"], arrays[f"bias/{i}"] = (
            layer.multiplier,
            layer.shift,
            layer.offset,
        )
        arrays |= {f"weight/{i}/{j}": source.weight for j, source in enumerate(layer.sources)}
    return arrays


def _int64(rows: Any, columns: int | None = None) -> NDArray[np.int64]:
    table = np.array(rows, np.int64)
    return table if columns is None else table.reshape(-1, columns)


def _site_row(rule: SiteRule) -> list[int]:
    triples = (rule.extent, rule.tensor_stride, rule.kernel_size, rule.stride, rule.padding, rule.dilation)
    return [rule.parent, int(rule.floor), *(number for triple in triples for number in triple)]


def _layer_row(layer: IntegerLayer) -> list[int]:
    counts = [len(part) for part in (layer.sources, layer.residuals, layer.results)]
    return [layer.sites, layer.channels, layer.map, int(layer.transposed), *counts]


def load_pack(path: str | Path) -> Program:
    """Reads a program and checks all of it: shapes, types, references, and that no sum can overflow.

    Nothing in the file is run, and no more memory is taken than the file is long.

    Raises:
        DeployFileError: a file that is damaged, foreign, of another version, or not consistent; it says where.
        FileNotFoundError: there is none.
    """
    name = str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return _Reader(name, archive).program()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OverflowError) as error:
        raise DeployFileError(name, f"not a whole archive of a weight pack ({error}).") from error


class _Reader:
    def __init__(self, path: str, archive: zipfile.ZipFile) -> None:
        self.path, self.archive = path, archive
        self.members = {info.filename: info for info in archive.infolist()}

    def program(self) -> Program:
        """The program of the archive."""
        magic, version, channels, *counts = self._array("header", np.int64, (8,)).tolist()
        if magic != MAGIC:
            raise DeployFileError(self.path, "an .npz file, but not a weight pack.")
        if version != VERSION:
            raise DeployFileError(self.path, f"a weight pack of version {version}; this reads version {VERSION}.")
        if not all(0 <= count <= _MOST for count in (channels, *counts)):
            raise DeployFileError(self.path, f"its header tells impossible numbers: {[channels, *counts]}.")
        sites, maps, tables, layers, outputs = counts
        facts = self._facts(layers, outputs)
        known = [self._table(i, row) for i, row in enumerate(self._array("tables", np.int64, (tables, 4)).tolist())]
        program = Program(
            self._array("fraction", np.int32, (channels,)),
            tuple(map(_site_rule, self._array("sites", np.int64, (sites, 20)).tolist())),
            tuple(self._map(i, row) for i, row in enumerate(self._array("maps", np.int64, (maps, 3)).tolist())),
            tuple(self._array(f"unit/{i}", np.int32, (None,)) for i in range(sites)),
            tuple(known),
            tuple(
                self._layer(i, row, facts["layers"][i])
                for i, row in enumerate(self._array("layers", np.int64, (layers, 7)).tolist())
            ),
            tuple(
                ProgramOutput(facts["outputs"][i], row[0], self._named(_POOLS, row[1], "outputs"))
                for i, row in enumerate(self._array("outputs", np.int64, (outputs, 2)).tolist())
            ),
            facts["facts"],
        )
        try:
            check_program(program)
        except GraphError as error:
            raise DeployFileError(self.path, f"its parts do not fit together: {error}") from error
        return program

    def _array(self, name: str, kind: type[np.generic], shape: tuple[int | None, ...]) -> NDArray[Any]:
        """A member; ``None`` in the shape is any length."""
        info = self.members.get(f"{name}.npy")
        if info is None:
            raise DeployFileError(self.path, f"{name} is missing from it.")
        if info.compress_type != zipfile.ZIP_STORED:
            raise DeployFileError(self.path, f"{name} is compressed, which a weight pack never is.")
        content = io.BytesIO(self.archive.read(info))
        try:
            np.lib.format.read_magic(content)
            found, fortran, dtype = np.lib.format.read_array_header_1_0(content)
        except ValueError as error:
            raise DeployFileError(self.path, f"{name} is no array of numpy's format 1.0 ({error}).") from error
        fits = len(found) == len(shape) and all(s in (None, f) for s, f in zip(shape, found, strict=True))
        if not fits or dtype != np.dtype(kind).newbyteorder("<") or fortran:
            raise DeployFileError(
                self.path, f"{name} must be {np.dtype(kind)} {shape} in C order, and is {dtype} {found}."
            )
        data = content.read()
        size = dtype.itemsize
        for length in found:
            size *= length
        if size != len(data):
            raise DeployFileError(self.path, f"{name} holds {len(data)} bytes; its shape {found} needs {size}.")
        return np.frombuffer(data, dtype).reshape(found)

    def _facts(self, layers: int, outputs: int) -> dict[str, Any]:
        try:
            facts = json.loads(self._array("facts", np.uint8, (None,)).tobytes())
            names = facts["layers"] + facts["outputs"]
            if not isinstance(facts["facts"], dict) or not all(isinstance(name, str) for name in names):
                raise TypeError("names must be text")
            if (len(facts["layers"]), len(facts["outputs"])) != (layers, outputs):
                raise TypeError("not a name for each layer and output")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DeployFileError(self.path, f"facts do not tell the names ({error}).") from error
        return dict(facts)

    def _named(self, names: tuple[Any, ...], number: int, where: str) -> Any:
        if not 0 <= number < len(names):
            raise DeployFileError(self.path, f"{where} holds the number {number}, which must be below {len(names)}.")
        return names[number]

    def _count(self, number: int, where: str) -> int:
        if not 0 <= number <= _MOST:
            raise DeployFileError(self.path, f"{where} holds an impossible length: {number}.")
        return number

    def _map(self, index: int, row: list[int]) -> MapRule:
        inputs, outputs, volume = row
        return MapRule(inputs, outputs, self._array(f"offsets/{index}", np.int32, (self._count(volume, "maps"), 3)))

    def _table(self, index: int, row: list[int]) -> Table:
        kind, sites, channels, levels = row
        self._count(channels, "tables")
        thresholds = np.zeros((0, channels), np.int32)
        if self._named(_KINDS, kind, "tables") == "spikes":
            thresholds = self._array(f"thresholds/{index}", np.int32, (self._count(levels, "tables"), channels))
        return Table(_KINDS[kind], sites, channels, thresholds)  # type: ignore[arg-type]

    def _layer(self, index: int, row: list[int], name: str) -> IntegerLayer:
        sites, channels, kernel_map, transposed, *counts = row
        for count in (channels, *counts):
            self._count(count, "layers")
        tables = [
            self._array(f"{part}/{index}", np.int64, (count,)).tolist()
            for part, count in zip(("sources", "residuals", "results"), counts, strict=True)
        ]
        sources = tuple(
            Source(table, self._array(f"weight/{index}/{j}", np.int8, (None, None, channels)))
            for j, table in enumerate(tables[0])
        )
        return IntegerLayer(
            name,
            sites,
            channels,
            kernel_map,
            bool(transposed),
            sources,
            tuple(tables[1]),
            tuple(tables[2]),
            self._array(f"multiplier/{index}", np.int32, (channels,)),
            self._array(f"shift/{index}", np.int32, (channels,)),
            self._array(f"bias/{index}", np.int64, (channels,)),
        )


def _site_rule(row: list[int]) -> SiteRule:
    triples = [(row[i], row[i + 1], row[i + 2]) for i in range(2, 20, 3)]
    return SiteRule(row[0], bool(row[1]), *triples)
