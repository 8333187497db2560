"""What one layer of neurons did: spikes by channel and level, membranes, gradients."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikevox.layers.neurons.binary import LIF
from spikevox.layers.neurons.integer import ILIF
from spikevox.layers.neurons.neuron import Neuron
from spikevox.layers.sparse_tensor import SparseTensor, time_steps_of


class Membranes(NamedTuple):
    """Membranes before firing, in the units of the network.

    Attributes:
        low: the least.
        high: the greatest.
        mean: of all.
        deviation: standard deviation.
        in_reach: share of those where a small change changes the spikes: between 0 and D of an integer neuron, between 0 and
            twice the threshold of a binary one.
        invalid: how many are NaN or infinite; they count in nothing else.
    """

    low: float
    high: float
    mean: float
    deviation: float
    in_reach: float
    invalid: int


class Gradients(NamedTuple):
    """Gradients of the loss at a layer of neurons, as root mean squares.

    Attributes:
        spikes: at what the layer emits.
        membranes: at what comes in, past the surrogate.
        invalid: how many are NaN or infinite; they count in nothing else.
    """

    spikes: float
    membranes: float
    invalid: int


@dataclass
class _Sum:
    """Count, sum and sum of squares of finite values; the others are counted."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")
    invalid: int = 0

    def add(self, values: Tensor) -> None:
        finite = values.isfinite()
        if not bool(finite.all()):
            self.invalid += int((~finite).sum())
            values = values[finite]
        if not values.numel():
            return
        self.count += values.numel()
        self.total += float(values.sum(dtype=torch.float64))
        self.squares += float(values.double().square().sum())
        low, high = values.aminmax()
        self.low, self.high = min(self.low, float(low)), max(self.high, float(high))

    @property
    def mean(self) -> float:
        return self.total / max(1, self.count)

    @property
    def root_mean_square(self) -> float:
        return (self.squares / max(1, self.count)) ** 0.5

    @property
    def deviation(self) -> float:
        return max(0.0, self.squares / max(1, self.count) - self.mean**2) ** 0.5


@dataclass
class LayerActivity:
    """What a layer of neurons did over all that was seen.

    Attributes:
        levels: the most spikes that a step can emit.
        samples: values a channel: sites times time steps.
        reached: (D, C) how many of them reach each level.
        fired_sites: (C,) sites at which a channel fired in any step.
        steps: time steps, 1 for none.
    """

    levels: int
    samples: int = 0
    steps: int = 1
    reached: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.int64))
    fired_sites: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    _membranes: _Sum = field(default_factory=_Sum)
    _in_reach: int = 0
    _at_spikes: _Sum = field(default_factory=_Sum)
    _at_membranes: _Sum = field(default_factory=_Sum)

    def add_spikes(self, spikes: Tensor) -> None:
        """Counts spikes (T, N, C)."""
        rows = spikes.detach()
        reached = torch.stack([(rows >= level).sum(dim=(0, 1)) for level in range(1, self.levels + 1)])
        fired = (rows > 0).any(dim=0).sum(dim=0)
        if not self.reached.numel():
            self.reached, self.fired_sites = torch.zeros_like(reached), torch.zeros_like(fired)
        self.reached += reached
        self.fired_sites += fired
        self.samples += rows.shape[0] * rows.shape[1]
        self.steps = rows.shape[0]

    def add_membranes(self, membranes: Tensor, reach: float) -> None:
        """Counts membranes of any shape, of which those between 0 and ``reach`` are in reach."""
        self._membranes.add(membranes)
        self._in_reach += int(((membranes > 0) & (membranes < reach)).sum())

    def add_gradient(self, gradient: Tensor, *, of_spikes: bool) -> None:
        """Counts a gradient of any shape."""
        (self._at_spikes if of_spikes else self._at_membranes).add(gradient)

    @property
    def firing_rate(self) -> float:
        """Mean number of spikes a site, channel and time step."""
        return float(self.reached.sum()) / max(1, self.samples * self.reached.shape[1])

    @property
    def nonzero(self) -> Tensor:
        """(C,) share of a channel's values that are not 0."""
        return self._share(0)

    @property
    def at_top(self) -> Tensor:
        """(C,) share of a channel's values at the highest level."""
        return self._share(-1)

    @property
    def burst(self) -> Tensor:
        """(C,) where a channel fires at all: the share of a site's T D virtual steps in which it does. 0 where it never fires."""
        full = self.fired_sites * (self.steps * self.levels)
        return self.reached.sum(dim=0).double() / full.clamp(min=1)

    @property
    def histogram(self) -> Tensor:
        """(D + 1,) share of all values at each level, from 0 on."""
        total = max(1, self.samples * self.reached.shape[1])
        fired = self.reached.sum(dim=1).double()
        down = torch.cat([fired.new_tensor([total]), fired, fired.new_zeros(1)])
        return (down[:-1] - down[1:]) / total

    @property
    def membranes(self) -> Membranes | None:
        """Their range; ``None`` where none were seen, as of neurons that look at all steps at once."""
        seen = self._membranes
        if not seen.count + seen.invalid:
            return None
        share = self._in_reach / max(1, seen.count)
        return Membranes(seen.low, seen.high, seen.mean, seen.deviation, share, seen.invalid)

    @property
    def gradients(self) -> Gradients | None:
        """Those of the backward passes that were seen; ``None`` where there was none."""
        spikes, membranes = self._at_spikes, self._at_membranes
        if not membranes.count + membranes.invalid:
            return None
        return Gradients(spikes.root_mean_square, membranes.root_mean_square, spikes.invalid + membranes.invalid)

    def _share(self, level: int) -> Tensor:
        if not self.reached.numel():
            return torch.zeros(0, dtype=torch.float64)
        return self.reached[level].double() / max(1, self.samples)


def channels_last(neuron: Neuron, x: Any, features: Tensor) -> Tensor:
    """(T, N, C) of a neuron's input or output, T of 1 where it has no time axis.

    Plain tensors of an image, (B, C, H, W) or (B, C, length), have their channels behind the batch; others have them last.
    """
    steps = time_steps_of(x) if isinstance(x, SparseTensor) else neuron.time_steps
    rows = features if steps is not None else features.unsqueeze(0)
    if isinstance(x, Tensor) and rows.ndim > 3:
        rows = rows.movedim(2, -1)
    return rows.reshape(rows.shape[0], -1, rows.shape[-1] if rows.ndim > 1 else 1)


def replay_membranes(neuron: Neuron, inputs: Tensor) -> tuple[Tensor, float] | None:
    """Membranes before firing (T, ...) of a neuron that starts at rest, and the end of their reach; ``None`` for other neurons.

    Args:
        neuron: an ILIF, or LIF and its kin.
        inputs: (T, ...).
    """
    if not isinstance(neuron, ILIF | LIF):
        return None
    reach = float(neuron.levels) if isinstance(neuron, ILIF) else 2 * neuron.threshold
    if len(inputs) == 1:
        return inputs, reach
    found, state = [], None
    for x in inputs:
        found.append(neuron.charge(x, state))
        _, state = neuron.step(x, state)
    return torch.stack(found), reach
