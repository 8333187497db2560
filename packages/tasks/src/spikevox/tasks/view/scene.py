"""What a page of the viewer shows: points, voxels, spikes and boxes in one system of coordinates, in metres."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.errors import BoxError, ViewError
from spikevox.tasks.geometry import check_boxes

# Places are kept in 32 bits on the graphics card: farther out, neighbours fall together.
FARTHEST = 1e6
MOST_LEVELS = 255
MOST_CHANNELS = 65535


@dataclass(frozen=True)
class Values:
    """A real number for each point or voxel, drawn on a scale of colours.

    Args:
        data: (N,) finite.
        unit: of the numbers, ``""`` for none.

    Raises:
        ViewError: another shape, or numbers that are not finite.
    """

    data: NDArray[np.floating]
    unit: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", _finite(self.data, "values", (None,)))


@dataclass(frozen=True)
class Classes:
    """A class for each point or voxel, drawn in the colour of the class.

    Args:
        data: (N,) whole numbers from 0 on, -1 for none.
        names: of the classes.

    Raises:
        ViewError: another shape, numbers that are not whole, or a class without a name.
    """

    data: NDArray[np.integer]
    names: Sequence[str]

    def __post_init__(self) -> None:
        data = np.asarray(self.data)
        if data.ndim != 1 or data.dtype.kind not in "iu":
            raise ViewError(f"classes must be whole numbers (N,), got {data.dtype} {data.shape}.")
        wrong = np.flatnonzero((data < -1) | (data >= len(self.names)))
        if len(wrong):
            raise ViewError(
                f"{len(wrong)} of {len(data)} classes lie outside -1 to {len(self.names) - 1}, of which there are names "
                f"(first rows: {wrong[:5].tolist()})."
            )
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "names", tuple(map(str, self.names)))


Field = Values | Classes


@dataclass(frozen=True)
class PointLayer:
    """A cloud, and what is known of each point.

    Args:
        name: as it stands in the page.
        xyz: (P, 3) in metres, at least one point.
        fields: name to what the points can be coloured by, the first of them at first. Without any, the height.
        shown: when the page opens.

    Raises:
        ViewError: no points, another shape, numbers that are not finite or reach 1e6, or a field of another length.
    """

    name: str
    xyz: NDArray[np.floating]
    fields: Mapping[str, Field] = field(default_factory=dict)
    shown: bool = True

    def __post_init__(self) -> None:
        xyz = _places(self.xyz, self.name)
        _check_fields(self.fields, len(xyz), self.name)
        object.__setattr__(self, "xyz", xyz)
        object.__setattr__(self, "fields", dict(self.fields) or {"height": Values(xyz[:, 2], "m")})


@dataclass(frozen=True)
class VoxelLayer:
    """Sites of a grid, and what is known of each: energy, features, classes.

    Args:
        name: as it stands in the page.
        centres: (N, 3) middles of the voxels in metres, at least one.
        size: edge lengths of a voxel in metres, one number or (x, y, z).
        fields: as of :class:`PointLayer`.
        shown: when the page opens.

    Raises:
        ViewError: as of :class:`PointLayer`, or a size that is not positive.
    """

    name: str
    centres: NDArray[np.floating]
    size: float | Sequence[float]
    fields: Mapping[str, Field] = field(default_factory=dict)
    shown: bool = True

    def __post_init__(self) -> None:
        centres = _places(self.centres, self.name)
        _check_fields(self.fields, len(centres), self.name)
        object.__setattr__(self, "centres", centres)
        object.__setattr__(self, "size", _edges(self.size, self.name))
        object.__setattr__(self, "fields", dict(self.fields) or {"height": Values(centres[:, 2], "m")})


@dataclass(frozen=True)
class SpikeLayer:
    """What one layer of neurons emits on its sites.

    A channel that emits n spikes in a step does so at the levels 1 to n: they are the virtual steps at which it fires.

    Args:
        name: of the layer in its network.
        centres: (N, 3) middles of the sites in metres, at least one.
        size: edge lengths of a site in metres, one number or (x, y, z).
        counts: (T, D, N) channels that fire at each time step and level.
        channels: of the layer.

    Raises:
        ViewError: as of :class:`VoxelLayer`; counts of another shape, outside 0 to ``channels``, or that grow with the level.
    """

    name: str
    centres: NDArray[np.floating]
    size: float | Sequence[float]
    counts: NDArray[np.integer]
    channels: int

    def __post_init__(self) -> None:
        centres = _places(self.centres, self.name)
        counts = np.asarray(self.counts)
        if counts.ndim != 3 or counts.dtype.kind not in "iu" or counts.shape[2] != len(centres) or 0 in counts.shape:
            raise ViewError(
                f"{self.name}: counts must be whole numbers (time steps, levels, {len(centres)}), got {counts.dtype} "
                f"{counts.shape}."
            )
        if counts.shape[1] > MOST_LEVELS or not 1 <= self.channels <= MOST_CHANNELS:
            raise ViewError(
                f"{self.name}: there are 1 to {MOST_LEVELS} levels and 1 to {MOST_CHANNELS} channels, got "
                f"{counts.shape[1]} and {self.channels}."
            )
        if counts.min() < 0 or counts.max() > self.channels or (np.diff(counts.astype(np.int64), axis=1) > 0).any():
            raise ViewError(
                f"{self.name}: counts lie in 0 to {self.channels} and never grow with the level, as a channel that reaches "
                "a level has passed those below."
            )
        object.__setattr__(self, "centres", centres)
        object.__setattr__(self, "size", _edges(self.size, self.name))
        object.__setattr__(self, "counts", counts)


@dataclass(frozen=True)
class BoxLayer:
    """Upright boxes, such as those found or those true.

    Args:
        name: as it stands in the page.
        boxes: (B, 7) centre x, y, z, length along the heading, width, height in metres, yaw in radians; may be none.
        texts: one for each box, or none at all.
        shown: when the page opens.

    Raises:
        ViewError: boxes that :func:`~spikevox.tasks.geometry.check_boxes` refuses or that reach 1e6, or texts of another number.
    """

    name: str
    boxes: NDArray[np.floating]
    texts: Sequence[str] = ()
    shown: bool = True

    def __post_init__(self) -> None:
        try:
            boxes = check_boxes(self.boxes, self.name)
        except BoxError as error:
            raise ViewError(str(error)) from error
        if (np.abs(boxes[:, :6]) > FARTHEST).any():
            raise ViewError(f"{self.name}: a box reaches beyond {FARTHEST:g} m.")
        if len(self.texts) not in (0, len(boxes)):
            raise ViewError(f"{self.name}: {len(boxes)} boxes and {len(self.texts)} texts do not fit.")
        object.__setattr__(self, "boxes", boxes)
        object.__setattr__(self, "texts", tuple(map(str, self.texts)))


Layer = PointLayer | VoxelLayer | SpikeLayer | BoxLayer


@dataclass(frozen=True)
class Scene:
    """One sample: layers that lie over one another.

    Args:
        title: what it is.
        layers: at least one; names of layers of one kind differ. Of the layers of spikes one is shown at a time.
        notes: lines of text below the title, such as scores and to whom the data belong.
        spikes_shown: when the page opens; where there are only spikes, they are.

    Raises:
        ViewError: no layer, something else than a layer, or two of one kind and name.
    """

    title: str
    layers: Sequence[Layer]
    notes: Sequence[str] = ()
    spikes_shown: bool = False

    def __post_init__(self) -> None:
        if not self.layers:
            raise ViewError(f"{self.title}: a scene needs at least one layer; there is nothing to show.")
        strange = [type(layer).__name__ for layer in self.layers if not isinstance(layer, Layer)]
        if strange:
            raise ViewError(f"a scene shows layers of points, voxels, spikes and boxes, got {strange[0]}.")
        names = [(type(layer).__name__, layer.name) for layer in self.layers]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ViewError(f"{self.title}: two layers of one kind are called {twice[0][1]!r}.")


def _finite(values: Any, name: str, shape: tuple[int | None, ...]) -> NDArray[np.floating]:
    array = np.asarray(values)
    fits = len(array.shape) == len(shape) and all(b in (None, a) for a, b in zip(array.shape, shape, strict=True))
    if not fits or array.dtype.kind not in "fiu":
        wanted = ", ".join("N" if n is None else str(n) for n in shape)
        raise ViewError(f"{name} must be numbers ({wanted}), got {array.dtype} {array.shape}.")
    wrong = np.flatnonzero(~np.isfinite(array).all(axis=tuple(range(1, array.ndim))))
    if len(wrong):
        raise ViewError(
            f"{len(wrong)} of {len(array)} {name} are NaN or infinite (first rows: {wrong[:5].tolist()}). Leave them out."
        )
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _places(xyz: Any, name: str) -> NDArray[np.floating]:
    array = _finite(xyz, f"places of {name}", (None, 3))
    if not len(array):
        raise ViewError(f"{name} has no points: leave it out, or look why it is empty.")
    far = np.flatnonzero((np.abs(array) >= FARTHEST).any(axis=1))
    if len(far):
        raise ViewError(
            f"{name}: {len(far)} of {len(array)} places reach {FARTHEST:g} m (first rows: {far[:5].tolist()}). Subtract an "
            "offset from all layers."
        )
    return array


def _edges(size: Any, name: str) -> tuple[float, float, float]:
    edges = np.broadcast_to(np.asarray(size, dtype=np.float64), (3,)) if np.size(size) in (1, 3) else np.zeros(3)
    if not ((edges > 0) & (edges < FARTHEST)).all():
        raise ViewError(f"{name}: size must be one or three positive numbers of metres, got {size!r}.")
    x, y, z = edges.tolist()
    return x, y, z


def _check_fields(fields: Mapping[str, Field], count: int, name: str) -> None:
    for label, content in fields.items():
        if len(content.data) != count:
            raise ViewError(f"{name}: {count} places and {len(content.data)} rows of {label!r} do not fit.")
