"""Coloured clouds as PLY, which MeshLab, CloudCompare and Blender open."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.atomic import write_atomically

_VERTEX = np.dtype(
    [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1"), ("label", "<i4")]
)
_NAMES = {"<f4": "float", "u1": "uchar", "|u1": "uchar", "<i4": "int"}


def write_ply(
    path: str | Path, xyz: NDArray[np.floating], colours: NDArray[np.uint8], labels: NDArray[np.integer]
) -> None:
    """Writes a binary PLY; folders are made as needed.

    Args:
        path: the file.
        xyz: (P, 3) coordinates in metres, written as float32.
        colours: (P, 3) red, green and blue in [0, 255].
        labels: (P,) a number for each point, written as int32.

    Raises:
        ValueError: arrays that differ in length.
    """
    if not len(xyz) == len(colours) == len(labels):
        raise ValueError(f"{path}: {len(xyz)} points, {len(colours)} colours and {len(labels)} labels do not fit.")
    vertices = np.empty(len(xyz), dtype=_VERTEX)
    for column, name in enumerate(("x", "y", "z")):
        vertices[name] = xyz[:, column]
    for column, name in enumerate(("red", "green", "blue")):
        vertices[name] = colours[:, column]
    vertices["label"] = labels
    properties = [f"property {_NAMES[_VERTEX[name].str]} {name}" for name in _VERTEX.names or ()]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(xyz)}", *properties, "end_header", ""]
    write_atomically(Path(path), "\n".join(header).encode("ascii") + vertices.tobytes())
