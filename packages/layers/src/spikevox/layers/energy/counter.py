"""Counters: what a module of a kind does in one call, in whole numbers. Users register theirs for their own modules."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from spikevox.layers.energy.counts import LayerCount
from spikevox.layers.energy.operations import whole
from spikevox.layers.errors import EnergyError
from spikevox.layers.sparse_tensor import features_of


@dataclass(frozen=True)
class Tag:
    """What is known of a tensor of features.

    Attributes:
        depth: the largest spike that it can hold; 0 where its values are real.
        source: number of the layer with weights that made it, ``None`` where others took part.
        owed: a sum over all values that was made and not used yet: module and additions.
    """

    depth: int = 0
    source: int | None = None
    owed: tuple[str, int] | None = None


REALS = Tag()


class FanOut:
    """Output rows that each input row reaches through a kernel map, counted once a map."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, bool], tuple[Any, Tensor]] = {}

    def of(self, kernel_map: Any, transposed: bool, rows: Callable[[], Tensor], count: int) -> Tensor:
        """(count,) int64; ``rows`` gives the input row of each pair where the map is met for the first time."""
        key = (id(kernel_map), transposed)
        if key not in self._known:
            # The map is kept: its number would go to another object.
            self._known[key] = (kernel_map, torch.bincount(rows(), minlength=count))
        return self._known[key][1]


@dataclass
class Call:
    """One call of a module, as a counter sees it.

    Attributes:
        module: that was called.
        name: its path.
        args: of the call.
        kwargs: of the call.
        output: what it returned.
        tag: what is known of its first input.
        fans: fan-outs of the kernel maps that were met.
        layers: what was counted so far, by layers before this one.
        emitted: largest spike of the output, where it holds spikes; a counter of neurons sets it.
        source: whether a normalisation behind folds into this layer; a counter of layers with weights sets it.
    """

    module: Any
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any
    tag: Tag
    fans: FanOut
    layers: list[LayerCount] = field(default_factory=list)
    emitted: int = 0
    source: bool = False

    @property
    def input(self) -> Tensor:
        """Features of the first input."""
        return features_of(self.args[0] if self.args else next(iter(self.kwargs.values())))

    @property
    def result(self) -> Tensor:
        """Features of the output."""
        return features_of(self.output)

    @property
    def depth(self) -> int:
        """The largest spike of the input; 0 where it holds real values."""
        return self.tag.depth if self.tag.depth and whole(self.input) else 0

    def other(self, kind: str, *, additions: int = 0, multiplications: int = 0, **more: Any) -> LayerCount:
        """Counts of a layer without weights: further additions (or comparisons) and multiplications."""
        return LayerCount(self.name, kind, additions=additions, multiplications=multiplications, **more)

    def weighted(
        self,
        kind: str,
        fan_out: Tensor | int,
        *,
        in_channels: int,
        out_channels: int,
        out_rows: int,
        weights: int,
        groups: int = 1,
        bias: bool = False,
        mapped: bool = False,
        rows: Tensor | None = None,
    ) -> LayerCount:
        """Counts of a layer that multiplies what it reads by weights.

        Args:
            kind: ``"convolution"``, ``"linear"`` or a name of one's own.
            fan_out: output rows that an input row reaches: (N,) int64, or one number for all rows.
            in_channels: C of the input.
            out_channels: C of the output.
            out_rows: rows of the output, those of each time step for themselves.
            weights: parameters, without the bias.
            groups: that channels are split into.
            bias: whether one is added.
            mapped: whether pairs are looked up in a kernel map.
            rows: features (..., N, in_channels), by default the input's.
        """
        self.source = True
        values = (self.input if rows is None else rows).detach()
        values = values.reshape(-1, *values.shape[-2:]) if values.ndim > 1 else values.view(1, 1, -1)
        steps, count = values.shape[:2]
        fan = torch.full((count,), fan_out, dtype=torch.int64) if isinstance(fan_out, int) else fan_out
        fan = fan.to(values.device)
        # Products of an input value: the channels of its group.
        reached = out_channels // groups
        active = (values != 0).sum(dim=(0, 2))
        pairs = steps * int(fan.sum())
        depth = self.depth
        levels: tuple[int, ...] = ()
        spikes = acs = 0
        if depth:
            emitted = values.sum(dim=(0, 2), dtype=torch.float64).to(torch.int64)
            spikes, acs = int(emitted.sum()), int((emitted * fan).sum()) * reached
            levels = levels_of(values, depth)
        return LayerCount(
            self.name,
            kind,
            reads="spikes" if depth else "reals",
            in_channels=in_channels,
            out_channels=out_channels,
            groups=groups,
            weights=weights + (out_channels if bias else 0),
            bias=bias,
            depth=depth,
            in_rows=steps * count,
            out_rows=out_rows,
            pairs=pairs,
            map_entries=pairs if mapped else 0,
            values=values.numel(),
            events=int(active.sum()),
            spikes=spikes,
            levels=levels,
            macs=pairs * (in_channels // groups) * out_channels,
            event_macs=int((active * fan).sum()) * reached,
            acs=acs,
            additions=out_rows * out_channels if bias else 0,
        )

    def neuron(self, depth: int, *, kind: str = "neuron", keeps_state: bool = False) -> LayerCount:
        """Counts of a layer that turns each membrane into a spike, or into 0 or more.

        Args:
            kind: ``"neuron"``, or ``"rectifier"`` for one whose output is real.
            depth: the largest spike; 0 for real values.
            keeps_state: whether membranes are kept for a next time step.
        """
        emitted = self.result.detach()
        depth = depth if whole(emitted) else 0
        if depth and emitted.numel() and int(emitted.max()) > depth:
            raise EnergyError(
                f"{self.name} emitted {int(emitted.max())} spikes at once; its counter says {depth} at most."
            )
        self.emitted = depth
        count = emitted.numel()
        return LayerCount(
            self.name,
            kind,
            depth=depth,
            in_rows=count // max(1, emitted.shape[-1]),
            out_rows=count // max(1, emitted.shape[-1]),
            in_channels=emitted.shape[-1],
            out_channels=emitted.shape[-1],
            values=count,
            events=int((emitted != 0).sum()),
            spikes=int(emitted.sum(dtype=torch.float64)) if depth else 0,
            levels=levels_of(emitted, depth) if depth else (),
            membrane_updates=count,
            state_updates=count if keeps_state else 0,
        )


def levels_of(values: Tensor, depth: int) -> tuple[int, ...]:
    """How many of the values are 0, 1, ... depth."""
    counts = torch.bincount(values.reshape(-1).to(torch.int64), minlength=depth + 1)
    return tuple(counts.tolist())


Counter = Callable[[Call], LayerCount | None]
_COUNTERS: dict[type[nn.Module] | str, Counter] = {}


def register_counter(*kinds: type[nn.Module] | str) -> Callable[[Counter], Counter]:
    """Registers a function that counts what modules of these classes, and of classes derived from them, do in a call.

    The module is then counted as a whole: nothing inside of it is looked at. The last counter of a class counts.

    Args:
        *kinds: classes, or names of classes as ``"module.Class"`` where importing them would be too much.

    Example:
        >>> class Gate(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.gate = nn.Parameter(torch.ones(1))
        ...     def forward(self, x):
        ...         return x * self.gate
        >>> @register_counter(Gate)
        ... def count_gate(call):
        ...     return call.other("gate", multiplications=call.result.numel(), weights=1)
    """

    def register(counter: Counter) -> Counter:
        for kind in kinds:
            _COUNTERS[kind] = counter
        return counter

    return register


def counter_of(module: nn.Module) -> Counter | None:
    """The counter of a module's class, or of the nearest class that it derives from; ``None`` where there is none."""
    for kind in type(module).__mro__:
        for key in (kind, f"{kind.__module__}.{kind.__name__}"):
            if key in _COUNTERS:
                return _COUNTERS[key]
    return None
