"""From a planned network to a program in integers: units, int8 weights, thresholds, and the proof that nothing overflows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikevox.layers.deploy.fixed_point import (
    Range,
    check_range,
    int8_weights,
    range_of_sums,
    requantisation,
    units_for,
)
from spikevox.layers.deploy.program import (
    INPUT_RANGE,
    IntegerLayer,
    Kind,
    MapRule,
    Pool,
    Program,
    ProgramOutput,
    SiteRule,
    Source,
    Table,
)
from spikevox.layers.errors import GraphError
from spikevox.layers.event.plan import Form, Layer, Map, Plan
from spikevox.layers.event.rules import SpikeRule
from spikevox.layers.graph import Graph, SitesOrigin

_POOLS: dict[int, Pool] = {4: "mean", 5: "sum"}
_STEP, _RECTIFIED = 1, 2


def lower(
    graph: Graph,
    plan: Plan,
    fraction: NDArray[np.int32],
    outputs: list[tuple[str, int]],
    facts: dict[str, Any] | None = None,
) -> Program:
    """The program of a plan.

    Args:
        graph: that was planned.
        plan: of it.
        fraction: (C,) places behind the point of the input's channels.
        outputs: name and node of each result.
        facts: see :class:`Program`.

    Raises:
        GraphError: a layer that has no integer form, or whose sums could overflow; it is named.
    """
    return _Lowering(graph, plan, fraction).program(outputs, facts or {})


def levels_of(rule: SpikeRule) -> int:
    """The most spikes of a neuron."""
    return 1 if rule.kind == _STEP else int(rule.parameter)


class _Lowering:
    def __init__(self, graph: Graph, plan: Plan, fraction: NDArray[np.int32]) -> None:
        self.graph, self.plan, self.fraction = graph, plan, fraction
        self.pools = {layer.results[0].form: layer for layer in plan.layers if layer.kind in _POOLS}
        self.layers = [layer for layer in plan.layers if layer.kind not in _POOLS]
        self.numbers: dict[tuple[int, SpikeRule | None], int] = {(0, None): 0}
        self.tables: list[Table] = []
        self.ranges: dict[int, Range] = {}
        for layer in plan.layers:
            self._check(layer)

    def program(self, outputs: list[tuple[str, int]], facts: dict[str, Any]) -> Program:
        """Units from bounds in real numbers, then the layers in integers."""
        self.units = self._units()
        channels = self.graph.nodes[0].channels
        self.tables.append(Table("input", 0, channels, _no_thresholds(channels)))
        self.ranges[0] = Range(*(np.full(channels, end, np.int64) for end in INPUT_RANGE))
        layers = tuple(self._layer(layer) for layer in self.layers)
        return Program(
            self.fraction,
            tuple(_site_rule(origin) for origin in self.graph.sites),
            tuple(self._map_rule(known) for known in self.plan.maps),
            tuple(self.units),
            tuple(self.tables),
            layers,
            tuple(self._output(name, self.plan.outputs[node]) for name, node in outputs),
            facts,
        )

    def _check(self, layer: Layer) -> None:
        """Raises GraphError for what has no integer form."""
        problem = None
        kinds = {self._kind(source.form) for source in layer.sources}
        if layer.kind in _POOLS:
            problem = None if layer.results[0].form in self.plan.outputs.values() else "a pool that is read by a layer"
        elif layer.kind != 0:
            problem = "this pool"
        elif layer.factor is not None:
            problem = "a normalisation that does not follow a convolution or a linear layer"
        elif len(kinds) > 1:
            problem = "a layer that reads spikes and real values side by side"
        elif len(layer.sources) > 1 and kinds != {"spikes"}:
            problem = "a layer that reads real values side by side"
        elif any(form.base == 0 and form.rule is None for form in layer.residuals):
            problem = "the input in a sum of membranes, or under a neuron"
        elif any(form.rule and form.rule.kind == _RECTIFIED for form in [r.form for r in layer.results]):
            problem = "a rectified unit, which emits real values,"
        elif any(self.graph.nodes[result.form.base].kind == "concatenate" for result in layer.results):
            problem = "membranes side by side as they are"
        if problem:
            raise GraphError(f"{layer.name}: {problem} has no integer form.")

    def _kind(self, form: Form) -> Kind:
        if form.rule is not None:
            return "spikes"
        return "input" if form.base == 0 else "membrane"

    # Bounds in real numbers, which the units follow from.

    def _units(self) -> list[NDArray[np.int32]]:
        bounds: dict[int, list[tuple[str, Range]]] = {}
        known: dict[int, Range] = {}
        for layer in self.layers:
            total = Range(np.zeros(layer.channels), np.zeros(layer.channels))
            for source in layer.sources:
                if source.weight is None:
                    raise TypeError("a source without weight is a pool's")
                total = total.plus(range_of_sums(source.weight.numpy(), self._real(source.form, known)))
            if layer.start is not None:
                start = layer.start.numpy()
                total = total.plus(Range(start, start))
            for form in layer.residuals:
                total = total.plus(self._real(form, known))
            for result in layer.results:
                known[result.form.base] = total
            bounds.setdefault(layer.sites, []).append((layer.name, total))
        counts = [max((layer.channels for layer in self.layers if layer.sites == s), default=0) for s in self._sites()]
        return [units_for(bounds.get(s, []), count) for s, count in zip(self._sites(), counts, strict=True)]

    def _sites(self) -> range:
        return range(len(self.graph.sites))

    def _real(self, form: Form, known: dict[int, Range]) -> Range:
        channels = self.graph.nodes[form.base].channels
        if form.rule is not None:
            return Range(np.zeros(channels), np.full(channels, float(levels_of(form.rule))))
        if form.base == 0:
            return Range(*(np.ldexp(float(end), -self.fraction) for end in INPUT_RANGE))
        return known[form.base]

    # Layers in integers.

    def _layer(self, layer: Layer) -> IntegerLayer:
        unit = self.units[layer.sites][: layer.channels].astype(np.float64)
        weights, scale = int8_weights(
            [self._weight(source) for source in layer.sources] or [np.zeros((1, 1, layer.channels))]
        )
        zero = np.zeros(layer.channels, np.int64)
        sums = Range(zero, zero)
        for source, weight in zip(layer.sources, weights, strict=False):
            sums = sums.plus(range_of_sums(weight.astype(np.int64), self.ranges[self.numbers[_key(source.form)]]))
        if all(self._kind(source.form) != "membrane" for source in layer.sources):
            check_range(layer.name, "sums", sums)
        start = np.zeros(layer.channels) if layer.start is None else layer.start.numpy()
        numbers = requantisation(layer.name, scale * unit, start * unit, sums)
        membrane = numbers.apply(layer.name, sums) if layer.sources else Range(zero, zero)
        residuals = tuple(self.numbers[_key(form)] for form in layer.residuals)
        for index in residuals:
            membrane = membrane.plus(self._shortcut(index))
        check_range(layer.name, "membrane", membrane)
        sources = tuple(
            Source(self.numbers[_key(source.form)], weight)
            for source, weight in zip(layer.sources, weights, strict=False)
        )
        return IntegerLayer(
            layer.name,
            layer.sites,
            layer.channels,
            layer.map,
            layer.transposed,
            sources,
            residuals,
            self._results(layer, membrane),
            *numbers,
        )

    def _weight(self, source: Any) -> NDArray[np.float64]:
        """Weight (K, C, C_out) for the integers that stand in a source."""
        weight: NDArray[np.float64] = source.weight.numpy()
        kind = self._kind(source.form)
        if kind == "input":
            return weight * np.ldexp(1.0, -self.fraction)[:, None]
        if kind == "membrane":
            table = self.tables[self.numbers[_key(source.form)]]
            return weight / self.units[table.sites][: table.channels].astype(np.float64)[:, None]
        return weight

    def _shortcut(self, index: int) -> Range:
        known, table = self.ranges[index], self.tables[index]
        if table.kind == "membrane":
            return known
        unit = self.units[table.sites][: table.channels].astype(np.int64)
        return Range(known.low * unit, known.high * unit)

    def _results(self, layer: Layer, membrane: Range) -> tuple[int, ...]:
        found = []
        unit = self.units[layer.sites][: layer.channels]
        for result in layer.results:
            key = _key(result.form)
            if key in self.numbers:
                continue
            self.numbers[key] = len(self.tables)
            found.append(len(self.tables))
            self.ranges[len(self.tables)] = membrane
            thresholds = _no_thresholds(layer.channels)
            if result.form.rule is not None:
                thresholds = _thresholds(result.form.rule, unit)
                levels = np.full(layer.channels, len(thresholds), np.int64)
                self.ranges[len(self.tables)] = Range(np.zeros_like(levels), levels)
            self.tables.append(Table(self._kind(result.form), layer.sites, layer.channels, thresholds))
        return tuple(found)

    def _output(self, name: str, form: Form) -> ProgramOutput:
        if form in self.pools:
            pool = self.pools[form]
            return ProgramOutput(name, self.numbers[_key(pool.sources[0].form)], _POOLS[pool.kind])
        return ProgramOutput(name, self.numbers[_key(form)], "none")

    def _map_rule(self, known: Map) -> MapRule:
        stride = np.array(self.graph.sites[known.inputs].tensor_stride)
        offsets = (np.array(known.geometry.offsets).reshape(-1, 3) * stride).astype(np.int32)
        return MapRule(known.inputs, known.outputs, offsets)


def _key(form: Form) -> tuple[int, SpikeRule | None]:
    return form.base, form.rule


def _no_thresholds(channels: int) -> NDArray[np.int32]:
    return np.zeros((0, channels), np.int32)


def _thresholds(rule: SpikeRule, unit: NDArray[np.int32]) -> NDArray[np.int32]:
    """(D, C): where a membrane is ``s - 1/2``, or at the threshold of a binary neuron."""
    if rule.kind == _STEP:
        return np.ceil(rule.parameter * unit.astype(np.float64)).astype(np.int32)[None]
    steps = np.arange(1, levels_of(rule) + 1, dtype=np.int64)[:, None]
    return (steps * unit - unit // 2).astype(np.int32)


def _site_rule(origin: SitesOrigin) -> SiteRule:
    if origin.parent is None or origin.geometry is None:
        return SiteRule(-1, False, (-1, -1, -1), origin.tensor_stride)
    extent = (-1, -1, -1) if origin.extent is None else origin.extent
    return SiteRule(origin.parent, origin.floor, extent, origin.tensor_stride, *origin.geometry)
