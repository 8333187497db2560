"""Whether the parts of a program fit together, and proof that no sum of it leaves its type. Imports no torch."""

from collections.abc import Iterable

import numpy as np

from spikevox.layers.deploy.fixed_point import Range, Requantisation, check_range, range_of_sums
from spikevox.layers.deploy.program import INPUT_RANGE, NO_MAP, IntegerLayer, Program, Table
from spikevox.layers.errors import GraphError

# Strides and offsets of kernels in a grid of int32 coordinates.
_FARTHEST = 1 << 24


def check_program(program: Program) -> None:
    """Raises GraphError, with the place, unless a program can be run."""
    _check_sites(program)
    for index, rule in enumerate(program.maps):
        _check_indices(f"map {index}", (rule.inputs, rule.outputs), len(program.sites))
        if not len(rule.offsets) or np.abs(rule.offsets.astype(np.int64)).max() > _FARTHEST:
            raise GraphError(f"map {index}: it has no offsets, or offsets beyond {_FARTHEST}.")
    for index, table in enumerate(program.tables):
        _check_table(program, index, table)
    ranges = {0: Range(*(np.full(program.tables[0].channels, end, np.int64) for end in INPUT_RANGE))}
    for layer in program.layers:
        _check_layer(program, layer, ranges)
    for output in program.outputs:
        if output.table not in ranges:
            raise GraphError(f"output {output.name!r}: table {output.table} is written by no layer.")


def _check_sites(program: Program) -> None:
    for index, rule in enumerate(program.sites):
        steps = (*rule.tensor_stride, *rule.kernel_size, *rule.stride, *rule.dilation)
        if not all(1 <= number <= _FARTHEST for number in steps) or not all(0 <= n <= _FARTHEST for n in rule.padding):
            raise GraphError(f"sites {index}: strides, kernels and dilations are at least 1, paddings at least 0.")
        if (index == 0) != (rule.parent == -1) or rule.parent >= index or rule.parent < -1:
            raise GraphError(f"sites {index}: they cannot be derived from sites {rule.parent}.")
        if index:
            parent = program.sites[rule.parent].tensor_stride
            if rule.tensor_stride != tuple(p * s for p, s in zip(parent, rule.stride, strict=True)):
                raise GraphError(f"sites {index}: their tensor stride is not their parent's times the stride.")
        if rule.extent != (-1, -1, -1) and not all(0 <= number < 2**31 for number in rule.extent):
            raise GraphError(f"sites {index}: an extent of {rule.extent}.")
        unit = program.units[index].astype(np.int64)
        if (unit < 2).any() or (unit & (unit - 1)).any():
            raise GraphError(f"sites {index}: units must be powers of two from 2 on.")


def _check_table(program: Program, index: int, table: Table) -> None:
    where = f"table {index}"
    _check_indices(where, (table.sites,), len(program.sites))
    if (table.kind == "input") != (index == 0) or (index == 0 and table.channels != len(program.fraction)):
        raise GraphError(f"{where}: the input, of {len(program.fraction)} channels, is table 0 and no other.")
    if index and table.channels > len(program.units[table.sites]):
        raise GraphError(
            f"{where}: there are units for {len(program.units[table.sites])} of {table.channels} channels."
        )
    if table.kind == "spikes" and not 1 <= table.levels <= 255:
        raise GraphError(f"{where}: spikes have 1 to 255 levels, got {table.levels}.")
    if (np.diff(table.thresholds.astype(np.int64), axis=0) <= 0).any():
        raise GraphError(f"{where}: its thresholds do not ascend.")


def _check_layer(program: Program, layer: IntegerLayer, ranges: dict[int, Range]) -> None:
    _check_indices(layer.name, (layer.sites,), len(program.sites))
    for index in (*(source.table for source in layer.sources), *layer.residuals):
        if index not in ranges:
            raise GraphError(f"{layer.name}: it reads table {index}, which is not written before.")
    ends = (layer.sites, layer.sites)
    volume = 1
    if layer.map != NO_MAP:
        _check_indices(layer.name, (layer.map,), len(program.maps))
        rule = program.maps[layer.map]
        ends = (rule.outputs, rule.inputs) if layer.transposed else (rule.inputs, rule.outputs)
        volume = len(rule.offsets)
    zero = np.zeros(layer.channels, np.int64)
    sums = Range(zero, zero)
    for source in layer.sources:
        table = program.tables[source.table]
        if source.weight.shape != (volume, table.channels, layer.channels) or (table.sites, layer.sites) != ends:
            raise GraphError(
                f"{layer.name}: weight {source.weight.shape} does not fit table {source.table} or the map."
            )
        sums = sums.plus(range_of_sums(source.weight.astype(np.int64), ranges[source.table]))
    if all(program.tables[source.table].kind != "membrane" for source in layer.sources):
        check_range(layer.name, "sums", sums)
    if (layer.multiplier < 0).any() or (layer.shift < 1).any() or (layer.shift > 62).any():
        raise GraphError(f"{layer.name}: multipliers are not negative, shifts are 1 to 62.")
    numbers = Requantisation(layer.multiplier, layer.shift, layer.offset)
    membrane = numbers.apply(layer.name, sums) if layer.sources else Range(zero, zero)
    for index in layer.residuals:
        membrane = membrane.plus(_shortcut(program, layer, index, ranges[index]))
    check_range(layer.name, "membrane", membrane)
    _write(program, layer, membrane, ranges)


def _shortcut(program: Program, layer: IntegerLayer, index: int, known: Range) -> Range:
    table = program.tables[index]
    if (table.sites, table.channels) != (layer.sites, layer.channels) or table.kind == "input":
        raise GraphError(f"{layer.name}: table {index} cannot be added to its membrane.")
    unit = program.unit(index) if table.kind == "spikes" else 1
    return Range(known.low * unit, known.high * unit)


def _write(program: Program, layer: IntegerLayer, membrane: Range, ranges: dict[int, Range]) -> None:
    kinds = []
    for index in layer.results:
        _check_indices(layer.name, (index,), len(program.tables))
        table = program.tables[index]
        kinds.append(table.kind)
        if index in ranges or (table.sites, table.channels) != (layer.sites, layer.channels):
            raise GraphError(f"{layer.name}: it cannot write table {index}.")
        levels = np.full(layer.channels, table.levels, np.int64)
        ranges[index] = membrane if table.kind == "membrane" else Range(np.zeros_like(levels), levels)
    if kinds.count("membrane") > 1 or not kinds:
        raise GraphError(f"{layer.name}: a layer writes one membrane at most, and something at all.")


def _check_indices(where: str, indices: Iterable[int], count: int) -> None:
    for index in indices:
        if not 0 <= index < count:
            raise GraphError(f"{where}: number {index} must be below {count}.")
