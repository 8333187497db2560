"""Archives of meshes -> the layout that :class:`ModelNet` reads."""

import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from spikevox.tasks.atomic import write_arrays
from spikevox.tasks.datasets.mesh_file import parse_off
from spikevox.tasks.datasets.sampling import sample_surface
from spikevox.tasks.errors import ConfigError, DataFileError

# CLASS/train/CLASS_0001.off, under whatever folders the archive puts first.
_MEMBER = re.compile(r"(?:.*/)?(?P<label>[^/]+)/(?P<split>train|test)/(?P<name>[^/]+)\.off")


class Prepared(NamedTuple):
    """What was written.

    Attributes:
        counts: shapes a split.
        classes: names in order.
        folder: where ``train.npz`` and ``test.npz`` lie.
    """

    counts: dict[str, int]
    classes: tuple[str, ...]
    folder: Path


def prepare_modelnet(
    archive: str | Path,
    out: str | Path,
    *,
    points: int = 1024,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Samples the meshes of ``ModelNet10.zip`` or ``ModelNet40.zip`` into ``train.npz`` and ``test.npz``.

    Points are drawn by area from a generator of (seed, name), so that no shape depends on another; each shape is centred
    on the middle of its box and stored as int16 of its largest half extent, with ``center`` and ``scale`` beside. The
    split is the archive's own. Both files appear when all is read, or none.

    Args:
        archive: the zip file.
        out: folder for the two files.
        points: points a shape.
        seed: of the samples.
        progress: called with (shapes done, shapes in all).

    Raises:
        ConfigError: fewer than one point a shape.
        DataFileError: an archive that is missing, damaged or holds no shapes, or a mesh that cannot be sampled; the mesh is
            named.
    """
    archive, out = Path(archive), Path(out)
    if points < 1:
        raise ConfigError(f"points must be at least 1, got {points}.")
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, archive)
            classes = tuple(sorted({found["label"] for found in members.values()}))
            arrays = _sample(opened, members, classes, (points, seed), archive, progress)
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        raise DataFileError(f"{archive} cannot be read as zip ({error}); it may be truncated.", archive) from error
    for split, columns in arrays.items():
        write_arrays(out / f"{split}.npz", columns)
    return Prepared({split: len(columns["label"]) for split, columns in arrays.items()}, classes, out)


def _members(opened: zipfile.ZipFile, archive: Path) -> dict[str, dict[str, str]]:
    """Meshes in order of split, class and name; what macOS puts beside them is left out."""
    found = {
        name: match.groupdict()
        for name in opened.namelist()
        if "__MACOSX" not in name and (match := _MEMBER.fullmatch(name))
    }
    splits = {part["split"] for part in found.values()}
    if splits != {"train", "test"}:
        raise DataFileError(
            f"{archive} holds no shapes as CLASS/train/NAME.off and CLASS/test/NAME.off; its {len(opened.namelist())} files "
            f"begin with {opened.namelist()[:2]}.",
            archive,
        )
    return dict(sorted(found.items(), key=lambda item: (item[1]["split"], item[1]["label"], item[1]["name"])))


def _sample(
    opened: zipfile.ZipFile,
    members: dict[str, dict[str, str]],
    classes: tuple[str, ...],
    drawn: tuple[int, int],
    archive: Path,
    progress: Callable[[int, int], None] | None,
) -> dict[str, dict[str, np.ndarray]]:
    points, seed = drawn
    columns: dict[str, dict[str, list[object]]] = {
        split: {key: [] for key in ("points_q", "center", "scale", "label", "name")} for split in ("train", "test")
    }
    for done, (member, part) in enumerate(members.items(), start=1):
        name = PurePosixPath(member).stem
        text = opened.read(member).decode("utf-8", errors="replace")
        generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
        try:
            xyz = sample_surface(*parse_off(text, f"{archive}:{member}"), points, generator)
        except ValueError as error:
            where = "" if isinstance(error, DataFileError) else f"{archive}:{member}: "
            raise DataFileError(f"{where}{error}", archive) from error
        center = (xyz.max(axis=0) + xyz.min(axis=0)) / 2
        scale = float(np.abs(xyz - center).max())
        row = columns[part["split"]]
        row["points_q"].append(np.rint((xyz - center) / scale * 32767).astype(np.int16))
        row["center"].append(center.astype(np.float32))
        row["scale"].append(np.float32(scale))
        row["label"].append(np.uint8(classes.index(part["label"])))
        row["name"].append(name)
        if progress is not None:
            progress(done, len(members))
    return {
        split: {**{key: np.array(values) for key, values in rows.items()}, "classes": np.array(classes)}
        for split, rows in columns.items()
    }
