"""One self-contained page of scenes: points, voxels, spikes and boxes, drawn by WebGL in any browser, without a network."""

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from functools import singledispatch
from importlib.resources import files
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from spikevox.tasks.atomic import write_atomically
from spikevox.tasks.errors import ViewError
from spikevox.tasks.view.packing import Packer
from spikevox.tasks.view.palette import UNKNOWN, safe_colours
from spikevox.tasks.view.scene import BoxLayer, Classes, Field, PointLayer, Scene, SpikeLayer, VoxelLayer

# Scales of colours that keep their order for every colour vision, from many to few stops of which the page mixes.
SCALES = ("viridis", "cividis", "gray")
_STOPS = 33


def save_page(path: str | Path, scenes: Sequence[Scene]) -> int:
    """Writes a page of one or more scenes; the file is there in full or not at all.

    Args:
        path: of the page; folders are made as needed.
        scenes: at least one. Their names and texts may come from anywhere: they are never read as HTML.

    Returns:
        Bytes of the page.

    Raises:
        ViewError: no scene.

    Example:
        >>> import tempfile
        >>> from spikevox.tasks.view import PointLayer, Scene, Values
        >>> scene = Scene("corners", [PointLayer("points", np.eye(3), {"number": Values(np.arange(3))})])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     size = save_page(Path(folder) / "page.html", [scene])
        >>> size < 1_000_000
        True
    """
    content = page(scenes).encode()
    write_atomically(Path(path), content)
    return len(content)


def page(scenes: Sequence[Scene]) -> str:
    """The text of a page, see :func:`save_page`."""
    if not scenes:
        raise ViewError("a page needs at least one scene.")
    packer = Packer()
    manifest = {"scenes": [_scene(scene, packer) for scene in scenes], "scales": _scales()}
    library, program, style = (_asset(name) for name in ("three.min.js", "viewer.js", "viewer.css"))
    parts = {
        "title": html.escape(scenes[0].title),
        "scripts": " ".join(f"'sha256-{_digest(text)}'" for text in (library, program)),
        "style": style,
        "licence": html.escape(_asset("three.LICENSE").strip()).replace("--", "- -"),
        # Within a script element only "<" could end the data; in JSON it may be written so.
        "manifest": json.dumps(manifest, allow_nan=False).replace("<", "\\u003c"),
        "data": packer.text(),
        "library": library,
        "program": program,
    }
    text = _asset("page.html")
    pieces = text.split("{{")
    # Each mark is replaced once, from left to right: what is filled in is not looked at again.
    return pieces[0] + "".join(parts[name] + rest for name, rest in (piece.split("}}", 1) for piece in pieces[1:]))


def _asset(name: str) -> str:
    return (files("spikevox.tasks.view") / "page" / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


def _scales() -> dict[str, list[list[int]]]:
    at = np.linspace(0, 1, _STOPS)
    return {name: (255 * matplotlib.colormaps[name](at)[:, :3]).round().astype(int).tolist() for name in SCALES}


def _scene(scene: Scene, packer: Packer) -> dict[str, Any]:
    layers = [_layer(layer, packer) for layer in scene.layers]
    boxes = [layer for layer in layers if layer["kind"] == "boxes"]
    for layer, colour in zip(boxes, safe_colours(len(boxes)).tolist(), strict=True):
        layer["colour"] = colour
    return {
        "title": scene.title,
        "notes": [str(note) for note in scene.notes],
        "layers": layers,
        "spikes_shown": scene.spikes_shown or all(layer["kind"] == "spikes" for layer in layers),
    }


@singledispatch
def _layer(layer: Any, packer: Packer) -> dict[str, Any]:
    raise TypeError(f"no layer: {layer!r}")


@_layer.register
def _(layer: PointLayer, packer: Packer) -> dict[str, Any]:
    return {
        "kind": "points",
        "name": layer.name,
        "shown": layer.shown,
        "places": packer.places(layer.xyz),
        "fields": _fields(layer.fields, packer),
    }


@_layer.register
def _(layer: VoxelLayer, packer: Packer) -> dict[str, Any]:
    return {
        "kind": "voxels",
        "name": layer.name,
        "shown": layer.shown,
        "places": packer.places(layer.centres),
        "size": layer.size,
        "fields": _fields(layer.fields, packer),
    }


@_layer.register
def _(layer: SpikeLayer, packer: Packer) -> dict[str, Any]:
    steps, levels, _count = layer.counts.shape
    return {
        "kind": "spikes",
        "name": layer.name,
        "places": packer.places(layer.centres),
        "size": layer.size,
        "steps": steps,
        "levels": levels,
        "channels": layer.channels,
        "counts": packer.whole(layer.counts, layer.channels),
    }


@_layer.register
def _(layer: BoxLayer, packer: Packer) -> dict[str, Any]:
    data = packer.add(layer.boxes.astype(np.float32))
    return {"kind": "boxes", "name": layer.name, "shown": layer.shown, "boxes": data, "texts": list(layer.texts)}


def _fields(fields: Any, packer: Packer) -> list[dict[str, Any]]:
    return [{"name": str(name), **_field(content, packer)} for name, content in fields.items()]


def _field(content: Field, packer: Packer) -> dict[str, Any]:
    if isinstance(content, Classes):
        count = len(content.names)
        # 0 stands for none.
        data = packer.whole(content.data.astype(np.int64) + 1, count)
        colours = [list(UNKNOWN), *safe_colours(count).tolist()]
        return {"kind": "classes", "data": data, "names": ["none", *content.names], "colours": colours}
    return {"kind": "values", "data": packer.real(content.data), "unit": content.unit}
