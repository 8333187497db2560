"""OFF and PLY files: vertices and, for OFF, faces."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.errors import DataFileError

_PLY_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_PLY_NAMES = {"nx": "normal_x", "ny": "normal_y", "nz": "normal_z", "scalar_intensity": "intensity"}


def parse_off(text: str, source: str | Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices (V, 3) and triangles (F, 3) of an OFF mesh; larger faces are split into fans.

    Some published files lack the line break after ``OFF`` (``OFF490 518 0``): they are read as well.

    Raises:
        DataFileError: no OFF header, fewer numbers than announced, or faces of vertices that are not there.
    """
    text = text.lstrip()
    if not text.startswith("OFF"):
        raise DataFileError(f"{source}: expected 'OFF' at the beginning, got {text[:20]!r}.", source)
    try:
        numbers = np.array(text[3:].split(), dtype=np.float64)
        vertices, faces = int(numbers[0]), int(numbers[1])
    except (ValueError, IndexError) as error:
        raise DataFileError(
            f"{source}: counts or coordinates of the OFF file are no numbers ({error}).", source
        ) from error
    points = numbers[3 : 3 + 3 * vertices]
    if len(points) < 3 * vertices:
        raise DataFileError(f"{source}: {vertices} vertices announced, {len(points) // 3} found: truncated.", source)
    triangles, rest = [], numbers[3 + 3 * vertices :].astype(np.int64)
    position = 0
    for face in range(faces):
        size = int(rest[position]) if position < len(rest) else 0
        corners = rest[position + 1 : position + 1 + size]
        if size < 3 or len(corners) < size or corners.min() < 0 or corners.max() >= vertices:
            raise DataFileError(f"{source}: face {face} of {faces} is missing or refers to absent vertices.", source)
        triangles += [(corners[0], corners[i], corners[i + 1]) for i in range(1, size - 1)]
        position += 1 + size
    return points.reshape(-1, 3), np.array(triangles, dtype=np.int64).reshape(-1, 3)


def read_off(path: Path) -> tuple[NDArray[np.floating], tuple[str, ...]]:
    """Vertices of an OFF file."""
    return parse_off(path.read_text(encoding="utf-8", errors="replace"), path)[0], ("x", "y", "z")


def read_ply(path: Path) -> tuple[NDArray[np.floating], tuple[str, ...]]:
    """Coordinates, and normals and intensity where they are there, of a PLY file's vertices (ascii or binary)."""
    data = path.read_bytes()
    end = data.find(b"end_header")
    if not data.startswith(b"ply") or end < 0:
        raise DataFileError(f"{path}: expected a PLY header from 'ply' to 'end_header'.", path)
    body = data[data.index(b"\n", end) + 1 :]
    kind, count, properties = _ply_header(data[:end].decode("ascii", "replace"), path)
    if kind == "ascii":
        rows = body.decode("ascii", "replace").splitlines()[:count]
        table = np.array([row.split()[: len(properties)] for row in rows], dtype=np.float64)
        columns = {name: table[:, i] for i, (name, _) in enumerate(properties)} if len(table) else {}
    else:
        order = "<" if kind == "binary_little_endian" else ">"
        record = np.dtype([(name, order + code) for name, code in properties])
        if len(body) < count * record.itemsize:
            raise DataFileError(
                f"{path}: {count} vertices announced, {len(body) // record.itemsize} found: truncated.", path
            )
        structured = np.frombuffer(body, dtype=record, count=count)
        columns = {name: structured[name] for name, _ in properties}
    if len(next(iter(columns.values()), ())) < count:
        raise DataFileError(f"{path}: {count} vertices announced, fewer found: truncated.", path)
    named = {_PLY_NAMES.get(name, name): values for name, values in columns.items()}
    wanted = [n for n in ("x", "y", "z", "intensity", "normal_x", "normal_y", "normal_z") if n in named]
    if wanted[:3] != ["x", "y", "z"]:
        raise DataFileError(f"{path}: vertices lack x, y or z; there are {sorted(named)}.", path)
    return np.column_stack([named[name] for name in wanted]), tuple(wanted)


def _ply_header(header: str, path: Path) -> tuple[str, int, list[tuple[str, str]]]:
    kind, count, element, properties = "", 0, "", []
    for words in (line.split() for line in header.splitlines()):
        if words[:1] == ["format"]:
            kind = words[1]
        elif words[:1] == ["element"]:
            if element == "" and words[1] != "vertex":
                raise DataFileError(f"{path}: the first element must be 'vertex', got {words[1]!r}.", path)
            element = words[1]
            count = int(words[2]) if element == "vertex" else count
        elif words[:1] == ["property"] and element == "vertex":
            if words[1] not in _PLY_TYPES:
                raise DataFileError(f"{path}: vertex property {' '.join(words[1:])!r} cannot be read.", path)
            properties.append((words[2], _PLY_TYPES[words[1]]))
    if kind not in ("ascii", "binary_little_endian", "binary_big_endian") or not properties:
        raise DataFileError(
            f"{path}: PLY format {kind!r} with {len(properties)} vertex properties cannot be read.", path
        )
    return kind, count, properties
