r"""Event lists: what a network took in and what its neurons fired, address by address, as one file. Imports no torch.

Version 1, little-endian throughout:

| bytes | what |
|---|---|
| 8 | `SPVXEVTS` |
| 4 x 4 | uint32: version, samples B (2^20 at most), number of sets of sites, number of streams |
| for each set | uint32 tensor stride x, y, z; uint32 N; then N x int32 sample, x, y, z, ascending |
| for each stream | uint32 table of the weight pack, set of sites, C, D (0 for values); uint32 number of events; then the events |
| 8 each | an event: uint32 row of its site, uint16 channel, int16 number of spikes or value; ascending by row and channel |
| 4 | uint32 CRC-32 (of zlib) of all bytes before |

A neuron that fires ``n`` times does so in the virtual steps 1 to n. Table 0 is the input, in fixed point.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.layers.deploy.program import Program
from spikevox.layers.errors import DeployFileError, GraphError

MAGIC = b"SPVXEVTS"
VERSION = 1
# Results have a row a sample, whether or not it has sites.
_MOST_SAMPLES = 1 << 20
_EVENT = np.dtype([("row", "<u4"), ("channel", "<u2"), ("value", "<i2")])


class SiteSet(NamedTuple):
    """Sites that events stand on: tensor stride along x, y, z, and coordinates (N, 4) int32, ascending."""

    tensor_stride: tuple[int, int, int]
    coordinates: NDArray[np.int32]


class EventStream(NamedTuple):
    """Events of one table.

    Attributes:
        table: number in the weight pack; 0 is the input.
        sites: index of the set of sites.
        channels: C.
        levels: D, 0 for values.
        row: (E,) uint32, site.
        channel: (E,) uint16.
        value: (E,) int16, number of spikes, or value; never 0.
    """

    table: int
    sites: int
    channels: int
    levels: int
    row: NDArray[np.uint32]
    channel: NDArray[np.uint16]
    value: NDArray[np.int16]

    def dense(self, rows: int) -> NDArray[np.int16]:
        """(rows, C) with the values at their addresses."""
        table = np.zeros((rows, self.channels), np.int16)
        table[self.row, self.channel] = self.value
        return table


@dataclass(frozen=True)
class EventList:
    """Events of a network on one input.

    Attributes:
        samples: B.
        sites: sets of sites, the input's first.
        streams: the input's first.
    """

    samples: int
    sites: tuple[SiteSet, ...]
    streams: tuple[EventStream, ...]


def stream_of(table: int, sites: int, values: NDArray[Any], levels: int) -> EventStream:
    """Events of a table of integers (N, C)."""
    row, channel = np.nonzero(values)
    found = values[row, channel].astype(np.int16)
    return EventStream(table, sites, values.shape[1], levels, row.astype(np.uint32), channel.astype(np.uint16), found)


def record_events(program: Program, tables: Any, sites: Any, samples: int, *, input_only: bool = False) -> EventList:
    """Events of what a network computed.

    Args:
        program: that it ran.
        tables: integers (N, C) of each table, as :class:`~spikevox.layers.deploy.quantize.IntegerResult` has them.
        sites: coordinates (N, 4) of each set of sites.
        samples: B.
        input_only: leave out what neurons fired.
    """
    wanted = range(1) if input_only else range(len(program.tables))
    sets = [SiteSet(rule.tensor_stride, known) for rule, known in zip(program.sites, sites, strict=False)]
    streams = [
        stream_of(i, program.tables[i].sites, tables[i], program.tables[i].levels)
        for i in wanted
        if program.tables[i].kind != "membrane"
    ]
    return EventList(samples, tuple(sets[:1] if input_only else sets), tuple(streams))


def save_events(events: EventList, path: str | Path) -> None:
    """Writes an event list."""
    parts = [MAGIC, struct.pack("<4I", VERSION, events.samples, len(events.sites), len(events.streams))]
    for sites in events.sites:
        parts += [struct.pack("<4I", *sites.tensor_stride, len(sites.coordinates))]
        parts += [np.ascontiguousarray(sites.coordinates, "<i4").tobytes()]
    for stream in events.streams:
        table = np.zeros(len(stream.row), _EVENT)
        table["row"], table["channel"], table["value"] = stream.row, stream.channel, stream.value
        numbers = (stream.table, stream.sites, stream.channels, stream.levels, len(table))
        parts += [struct.pack("<5I", *numbers), table.tobytes()]
    content = b"".join(parts)
    Path(path).write_bytes(content + struct.pack("<I", zlib.crc32(content)))


def load_events(path: str | Path) -> EventList:
    """Reads an event list and checks all of it.

    Raises:
        DeployFileError: a file that is damaged, foreign, of another version, or whose events have no place.
        FileNotFoundError: there is none.
    """
    return _Reader(str(path), Path(path).read_bytes()).events()


class _Reader:
    def __init__(self, path: str, content: bytes) -> None:
        self.path, self.content, self.at = path, content, 0

    def events(self) -> EventList:
        """All that the file holds."""
        if self.content[:8] != MAGIC:
            raise DeployFileError(self.path, "not an event list.")
        self.at = 8
        version, samples, site_count, stream_count = self._numbers(4)
        if version != VERSION:
            raise DeployFileError(self.path, f"an event list of version {version}; this reads version {VERSION}.")
        if samples > _MOST_SAMPLES:
            raise DeployFileError(self.path, f"it tells of {samples} samples; there are {_MOST_SAMPLES} at most.")
        sites = tuple(self._sites(number, samples) for number in range(site_count))
        streams = tuple(self._stream(sites) for _ in range(stream_count))
        (found,) = self._numbers(1)
        if self.at != len(self.content):
            raise DeployFileError(self.path, f"{len(self.content) - self.at} bytes follow its end.")
        if found != zlib.crc32(self.content[:-4]):
            raise DeployFileError(self.path, "its checksum does not fit: the file is damaged.")
        return EventList(samples, sites, streams)

    def _bytes(self, count: int) -> bytes:
        part = self.content[self.at : self.at + count]
        if len(part) != count:
            raise DeployFileError(self.path, f"ends after {len(self.content)} bytes, in the middle of its content.")
        self.at += count
        return part

    def _numbers(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}I", self._bytes(4 * count))

    def _sites(self, number: int, samples: int) -> SiteSet:
        x, y, z, count = self._numbers(4)
        rows = np.frombuffer(self._bytes(16 * count), "<i4").reshape(count, 4)
        stride = np.array([x, y, z])
        if min(x, y, z) < 1 or (len(rows) and (rows[:, 0].min() < 0 or rows[:, 0].max() >= samples)):
            raise DeployFileError(self.path, f"sites {number}: a stride below 1, or samples outside of {samples}.")
        if (rows[:, 1:] % stride).any() or not _ascending(*rows.T):
            raise DeployFileError(self.path, f"sites {number}: they do not ascend in steps of {stride.tolist()}.")
        return SiteSet((x, y, z), rows)

    def _stream(self, sites: tuple[SiteSet, ...]) -> EventStream:
        table, number, channels, levels, count = self._numbers(5)
        events = np.frombuffer(self._bytes(8 * count), _EVENT)
        row, channel, value = events["row"], events["channel"], events["value"]
        where = f"stream of table {table}"
        if number >= len(sites) or not 1 <= channels <= 1 << 16 or levels > 255:
            raise DeployFileError(self.path, f"{where}: sites {number}, {channels} channels, {levels} levels.")
        if count and (row.max() >= len(sites[number].coordinates) or channel.max() >= channels):
            raise DeployFileError(self.path, f"{where}: an address that does not exist.")
        if not _ascending(row, channel) or (value == 0).any():
            raise DeployFileError(self.path, f"{where}: its events do not ascend, or say nothing.")
        if levels and count and (value.min() < 0 or value.max() > levels):
            raise DeployFileError(self.path, f"{where}: numbers of spikes outside of 1 to {levels}.")
        return EventStream(table, number, channels, levels, row, channel, value)


def _ascending(*columns: NDArray[Any]) -> bool:
    """Whether rows ascend strictly, compared by their columns from the first to the last."""
    above = np.zeros(max(0, len(columns[0]) - 1), bool)
    equal = np.ones_like(above)
    for column in columns:
        # Without a difference, which could wrap.
        above |= equal & (column[1:] > column[:-1])
        equal &= column[1:] == column[:-1]
    return bool(above.all())


def check_input(program: Program, events: EventList) -> EventStream:
    """The input of a program among events.

    Raises:
        GraphError: there is none, or one of other channels or another stride.
    """
    stream = next((stream for stream in events.streams if stream.table == 0), None)
    if stream is None or stream.sites != 0 or stream.levels:
        raise GraphError("the event list holds no input: values of table 0 on the first set of sites.")
    stride = events.sites[0].tensor_stride
    if stream.channels != program.tables[0].channels or stride != program.sites[0].tensor_stride:
        raise GraphError(
            f"the weight pack takes {program.tables[0].channels} channels at tensor stride {program.sites[0].tensor_stride}, the "
            f"event list has {stream.channels} at {stride}."
        )
    return stream
