"""A network in integers: what the tensor path, the simulator and the player in C all run. Imports no torch.

A layer adds int8 weights for the integers that its sources hold, ``a``, and makes of the sum a branch of the membrane,
``(a * multiplier + offset) >> shift``: bias and rounding of halves upwards are in the offset. Branches and shortcuts of one
resolution add up in one unit a channel, a power of two that stands for 1. A neuron fires as often as the membrane reaches one of
its thresholds.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Triple = tuple[int, int, int]
Kind = Literal["input", "membrane", "spikes"]
Pool = Literal["none", "mean", "sum"]
NO_MAP = -1
INPUT_RANGE = (-(2**15), 2**15 - 1)
MEMBRANE_RANGE = (-(2**31), 2**31 - 1)


class SiteRule(NamedTuple):
    """How a set of sites comes about; numbers as in :class:`~spikevox.layers.graph.SitesOrigin`, -1 where there is none.

    Attributes:
        parent: index of the set that it is derived from, -1 for the input's.
        floor: sites are ``floor(coordinate / stride)``, not all that the convolution touches.
        extent: sites of the parent's grid along x, y, z; (-1, -1, -1) where it has no bounds.
        tensor_stride: distance of neighbouring sites along x, y, z.
        kernel_size: of the convolution that leads here, along x, y, z, as those that follow.
        stride: of the convolution.
        padding: of the convolution.
        dilation: of the convolution.
    """

    parent: int
    floor: bool
    extent: Triple
    tensor_stride: Triple
    kernel_size: Triple = (1, 1, 1)
    stride: Triple = (1, 1, 1)
    padding: Triple = (0, 0, 0)
    dilation: Triple = (1, 1, 1)


class MapRule(NamedTuple):
    """A kernel map: under offset k, the output at ``o`` takes the input at ``o + offsets[k]``.

    Attributes:
        inputs: index of a set of sites.
        outputs: index of a set of sites.
        offsets: (K, 3) int32 along x, y, z, in units of coordinates.
    """

    inputs: int
    outputs: int
    offsets: NDArray[np.int32]


class Table(NamedTuple):
    """Integers that layers write and read: a row a site.

    Attributes:
        kind: the input, a membrane, or spikes.
        sites: index of a set of sites.
        channels: C.
        thresholds: (D, C) int32 ascending, of spikes; (0, C) of others.
    """

    kind: Kind
    sites: int
    channels: int
    thresholds: NDArray[np.int32]

    @property
    def levels(self) -> int:
        """D, the most spikes of a neuron."""
        return len(self.thresholds)


class Source(NamedTuple):
    """A table that a layer reads, and its weight (K, C, C_out) int8."""

    table: int
    weight: NDArray[np.int8]


@dataclass(frozen=True)
class IntegerLayer:
    """One step of a program.

    Attributes:
        name: path of the module that it stands for.
        sites: index of the set of sites of the result.
        channels: C of the result.
        map: index of a kernel map, or ``NO_MAP`` where each row reads itself.
        transposed: the map is gone through from its outputs to its inputs.
        sources: their sums are ``a``; none where the layer adds shortcuts alone.
        residuals: tables that are added: membranes as they are, spikes times the unit.
        results: tables that it writes: at most one membrane, spikes of it.
        multiplier: (C,) int32.
        shift: (C,) int32, 1 to 62.
        offset: (C,) int64.
    """

    name: str
    sites: int
    channels: int
    map: int
    transposed: bool
    sources: tuple[Source, ...]
    residuals: tuple[int, ...]
    results: tuple[int, ...]
    multiplier: NDArray[np.int32]
    shift: NDArray[np.int32]
    offset: NDArray[np.int64]


class ProgramOutput(NamedTuple):
    """A result.

    Attributes:
        name: where it stands in what the network returns, ``""`` for the whole.
        table: whose values it is.
        pool: the mean or the sum over the sites of a sample, or none.
    """

    name: str
    table: int
    pool: Pool


@dataclass(frozen=True)
class Program:
    """A whole network.

    Attributes:
        fraction: (C,) int32: the input's channel c is ``floor(x * 2 ** fraction[c] + 0.5)``, clipped to int16.
        sites: sets of sites, the input's first.
        maps: kernel maps.
        units: of each set of sites, (C,) int32: what stands for 1 in a membrane's channel c.
        tables: table 0 is the input.
        layers: in order.
        outputs: in order.
        facts: what a reader may want to know: names of classes, of the network; plain JSON.
    """

    fraction: NDArray[np.int32]
    sites: tuple[SiteRule, ...]
    maps: tuple[MapRule, ...]
    units: tuple[NDArray[np.int32], ...]
    tables: tuple[Table, ...]
    layers: tuple[IntegerLayer, ...]
    outputs: tuple[ProgramOutput, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    def unit(self, table: int) -> NDArray[np.int64]:
        """(C,) what stands for 1 in a membrane or its spikes."""
        known = self.tables[table]
        return self.units[known.sites][: known.channels].astype(np.int64)

    def fixed_point(self, features: NDArray[Any]) -> NDArray[np.int16]:
        """The input (N, C) as int16; what lies outside is clipped."""
        scaled = np.floor(np.ldexp(features.astype(np.float64), self.fraction) + 0.5)
        return np.clip(scaled, *INPUT_RANGE).astype(np.int16)

    def reads_events(self, layer: IntegerLayer) -> bool:
        """Whether a layer reads spikes alone: it adds weights, and multiplies nothing."""
        return all(self.tables[source.table].kind == "spikes" for source in layer.sources)

    def values(self, output: ProgramOutput, table: NDArray[Any], batch_index: NDArray[Any], samples: int) -> Any:
        """A result as float64 numbers, from the integers (N, C) of its table.

        Args:
            output: which.
            table: its integers.
            batch_index: (N,) sample of each row.
            samples: B.

        Returns:
            (N, C), or (B, C) of a pool: an int64 sum that is divided once.
        """
        known = self.tables[output.table]
        unit = self.unit(output.table) if known.kind == "membrane" else np.ones(known.channels, np.int64)
        if output.pool == "none":
            return table / unit
        sums = np.zeros((samples, known.channels), np.int64)
        np.add.at(sums, batch_index, table.astype(np.int64))
        counts = np.bincount(batch_index, minlength=samples).clip(min=1)
        return sums / (unit if output.pool == "sum" else counts[:, None] * unit)


def branch(sums: NDArray[np.int64], layer: IntegerLayer) -> NDArray[np.int64]:
    """What a layer adds to the membrane for its sums (N, C): ``(a * multiplier + offset) >> shift``, halves upwards."""
    return (sums * layer.multiplier.astype(np.int64) + layer.offset) >> layer.shift.astype(np.int64)


def fire(membrane: NDArray[Any], thresholds: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Spikes (N, C): how many of the thresholds (D, C) a membrane (N, C) reaches."""
    spikes = np.zeros(membrane.shape, np.uint8)
    for threshold in thresholds:
        spikes += membrane >= threshold
    return spikes
