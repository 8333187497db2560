"""A machine for spikes, simulated event by event in plain numpy: what it adds, looks up and keeps waiting. No torch.

Each layer takes the events of the layer before in virtual steps: step d holds one event for each neuron that fires at least d
times. For an event the machine forms the address of the target under each kernel offset, looks it up, and where there is a site
adds one row of weights to its sums. What a convolution of zeros and ones needs is this addressing alone: nothing is multiplied
but where a layer reads real values.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.layers.deploy.addresses import AddressTable, derived_sites, targets
from spikevox.layers.deploy.event_list import EventList, EventStream, check_input, stream_of
from spikevox.layers.deploy.program import NO_MAP, IntegerLayer, Program, Source, branch, fire
from spikevox.layers.errors import GraphError

# Bytes of an int8 weight, and of a sum that is read and written again.
_WEIGHT_BYTES, _SUM_BYTES = 1, 8


class StepTrace(NamedTuple):
    """What a layer did in one virtual step.

    Attributes:
        events: spikes that it took.
        lookups: target addresses that it formed and looked up.
        targets: of these, addresses of sites.
        additions: of a weight to a sum.
        queue: the most events that waited at once: one arrives a cycle, one target takes a cycle, and so does an event without.
    """

    events: int
    lookups: int
    targets: int
    additions: int
    queue: int


class LayerTrace(NamedTuple):
    """What a layer did.

    Attributes:
        name: path of the module.
        steps: of each virtual step; none for a layer that reads real values.
        products: of a value and a weight, zero values included; 0 for a layer that reads spikes.
        weight_bytes: of weights read.
        sum_bytes: of sums read and written.
    """

    name: str
    steps: tuple[StepTrace, ...]
    products: int
    weight_bytes: int
    sum_bytes: int

    @property
    def additions(self) -> int:
        """Of all virtual steps: spikes times targets times output channels."""
        return sum(step.additions for step in self.steps)

    @property
    def events(self) -> int:
        """Of all virtual steps."""
        return sum(step.events for step in self.steps)


class Simulation(NamedTuple):
    """What a replay gives.

    Attributes:
        outputs: of the program, float64, in order.
        events: what the simulated neurons fired, the input's stream first.
        sites: coordinates (N, 4) of each set of sites.
        layers: what each layer did, in order.
        compared: spikes that the recorded list and this one hold, together.
        unequal: addresses at which the two differ.
    """

    outputs: tuple[NDArray[np.float64], ...]
    events: tuple[EventStream, ...]
    sites: tuple[NDArray[np.int64], ...]
    layers: tuple[LayerTrace, ...]
    compared: int
    unequal: int


def simulate(program: Program, events: EventList) -> Simulation:
    """Replays a recorded input through a weight pack, and compares all spikes that the list holds with those that come out.

    Args:
        program: of the weight pack.
        events: holds the input, and what neurons fired where that is to be compared.

    Raises:
        GraphError: an event list of another network.
    """
    machine = _Machine(program, events)
    traces = tuple(machine.run(layer) for layer in program.layers)
    outputs = tuple(
        program.values(output, machine.tables[output.table], machine.samples_of(output.table), events.samples)
        for output in program.outputs
    )
    fired = tuple(
        stream_of(i, table.sites, machine.tables[i], table.levels)
        for i, table in enumerate(program.tables)
        if table.kind != "membrane"
    )
    compared, unequal = _compare(program, events, machine)
    return Simulation(outputs, fired, tuple(machine.coordinates), traces, compared, unequal)


def _compare(program: Program, events: EventList, machine: "_Machine") -> tuple[int, int]:
    compared = unequal = 0
    for number, sites in enumerate(events.sites):
        if number >= len(program.sites) or not np.array_equal(sites.coordinates, machine.coordinates[number]):
            raise GraphError(f"sites {number} of the event list are not those that the weight pack derives.")
    for stream in events.streams:
        if stream.table >= len(program.tables) or program.tables[stream.table].sites != stream.sites:
            raise GraphError(f"the event list has events of table {stream.table}, which the weight pack has not.")
        found = machine.tables[stream.table]
        if found.shape[1] != stream.channels:
            raise GraphError(f"table {stream.table} has {found.shape[1]} channels, the event list {stream.channels}.")
        if stream.table:
            compared += int(found.sum())
            unequal += int((stream.dense(len(found)) != found).sum())
    return compared, unequal


class _Machine:
    """Sites, addresses and tables of one input."""

    def __init__(self, program: Program, events: EventList) -> None:
        stream = check_input(program, events)
        self.program = program
        self.coordinates = [events.sites[0].coordinates.astype(np.int64)]
        for rule in program.sites[1:]:
            stride = program.sites[rule.parent].tensor_stride
            self.coordinates.append(derived_sites(self.coordinates[rule.parent], stride, rule))
        self.addresses = [AddressTable(known) for known in self.coordinates]
        self.tables: dict[int, NDArray[Any]] = {0: stream.dense(len(self.coordinates[0]))}
        self._targets: dict[tuple[int, bool, int], NDArray[np.int64]] = {}

    def samples_of(self, table: int) -> NDArray[np.int64]:
        """(N,) sample of each row of a table."""
        return self.coordinates[self.program.tables[table].sites][:, 0]

    def run(self, layer: IntegerLayer) -> LayerTrace:
        """Runs one layer and stores what it writes."""
        sums = np.zeros((len(self.coordinates[layer.sites]), layer.channels), np.int64)
        traces = [self._take(layer, source, sums) for source in layer.sources]
        membrane = branch(sums, layer) if layer.sources else sums
        for index in layer.residuals:
            table = self.tables[index].astype(np.int64)
            membrane += table * self.program.unit(index) if self.program.tables[index].kind == "spikes" else table
        for index in layer.results:
            known = self.program.tables[index]
            is_membrane = known.kind == "membrane"
            self.tables[index] = membrane.astype(np.int32) if is_membrane else fire(membrane, known.thresholds)
        return _joined(layer.name, traces)

    def _take(self, layer: IntegerLayer, source: Source, sums: NDArray[np.int64]) -> LayerTrace:
        """Adds what a source sends; what that took."""
        known = self.program.tables[source.table]
        places = self._places(layer, known.sites)
        values = self.tables[source.table]
        pairs = int((places >= 0).sum())
        if known.kind != "spikes":
            for target, weight in zip(places, source.weight.astype(np.int64), strict=True):
                there = target >= 0
                sums[target[there]] += values[there].astype(np.int64) @ weight
            products = pairs * known.channels * layer.channels
            return LayerTrace(layer.name, (), products, products * _WEIGHT_BYTES, pairs * layer.channels * _SUM_BYTES)
        row, channel = np.nonzero(values)
        count = values[row, channel]
        fan_out = (places >= 0).sum(axis=0)
        steps = []
        for step in range(1, known.levels + 1):
            fires = count >= step
            _add_rows(places, source.weight, row[fires], channel[fires], sums)
            steps.append(_trace(fan_out[row[fires]], len(places), layer.channels))
        additions = sum(step.additions for step in steps)
        return LayerTrace(layer.name, tuple(steps), 0, additions * _WEIGHT_BYTES, additions * _SUM_BYTES)

    def _places(self, layer: IntegerLayer, sites: int) -> NDArray[np.int64]:
        """(K, N) target rows of each source row."""
        if layer.map == NO_MAP:
            return np.arange(len(self.coordinates[sites]))[None]
        key = (layer.map, layer.transposed, layer.sites)
        if key not in self._targets:
            rule = self.program.maps[layer.map]
            self._targets[key] = targets(rule, layer.transposed, self.coordinates[sites], self.addresses[layer.sites])
        return self._targets[key]


def _add_rows(
    places: NDArray[np.int64],
    weight: NDArray[np.int8],
    row: NDArray[np.int64],
    channel: NDArray[np.int64],
    sums: NDArray[np.int64],
) -> None:
    """For each event and offset with a target, one row of weights to its sums."""
    for target, rows_of_weight in zip(places, weight, strict=True):
        there = target[row] >= 0
        if not there.any():
            continue
        rows, channels = target[row[there]], channel[there]
        # Events of one site follow one another and have one target: they are added up on the way.
        starts = np.flatnonzero(np.diff(rows, prepend=rows[0] - 1))
        sums[rows[starts]] += np.add.reduceat(rows_of_weight[channels], starts, axis=0, dtype=np.int64)


def _trace(fan_out: NDArray[np.int64], volume: int, channels: int) -> StepTrace:
    found = int(fan_out.sum())
    return StepTrace(len(fan_out), len(fan_out) * volume, found, found * channels, _deepest(np.maximum(fan_out, 1)))


def _deepest(cycles: NDArray[np.int64]) -> int:
    """The most events that wait or are worked on, where one arrives each cycle and each takes so many."""
    if not len(cycles):
        return 0
    arrival = np.arange(len(cycles))
    done = cycles.cumsum()
    # Work starts when an event is there and the one before is done.
    finished = done + np.maximum.accumulate(arrival - (done - cycles))
    return int((arrival + 1 - np.searchsorted(finished, arrival, side="right")).max())


def _joined(name: str, traces: list[LayerTrace]) -> LayerTrace:
    """Traces of the sources of a layer as one; their events of a step come one after another."""
    count = max((len(trace.steps) for trace in traces), default=0)
    steps = []
    for number in range(count):
        parts = [trace.steps[number] for trace in traces if number < len(trace.steps)]
        events, lookups, found, additions = (sum(column) for column in zip(*(part[:4] for part in parts), strict=True))
        steps.append(StepTrace(events, lookups, found, additions, max(part.queue for part in parts)))
    rest = [sum(column) for column in zip(*(trace[2:] for trace in traces), strict=True)] or [0, 0, 0]
    return LayerTrace(name, tuple(steps), *rest)
