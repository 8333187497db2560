"""What the neurons of a network do: firing rates, dead channels, saturation."""

from types import TracebackType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spikevox.layers.monitor.activity import channels_last
from spikevox.layers.neurons.neuron import Neuron
from spikevox.layers.sparse_tensor import features_of


class Firing(NamedTuple):
    """Statistics of one neuron layer over all that it emitted.

    Attributes:
        firing_rate: mean number of spikes a site, channel and time step.
        nonzero: share of the values that are not 0.
        dead: share of the channels that never fired.
        saturated: share of the values at the largest number of spikes that a step can emit.
    """

    firing_rate: float
    nonzero: float
    dead: float
    saturated: float


class _Count:
    def __init__(self, levels: int) -> None:
        self.levels = levels
        self.spikes = self.nonzero = self.saturated = 0.0
        self.values = 0
        self.fired: Tensor | None = None

    def add(self, neuron: Neuron, output: Any) -> None:
        rows = channels_last(neuron, output, features_of(output).detach()).flatten(0, 1)
        active = rows != 0
        fired = active.any(dim=0)
        self.fired = fired if self.fired is None else self.fired | fired
        self.spikes += float(rows.sum(dtype=torch.float64))
        self.nonzero += int(active.sum())
        self.saturated += int((rows >= self.levels).sum())
        self.values += rows.numel()

    def result(self) -> Firing:
        dead = 0.0 if self.fired is None else 1 - float(self.fired.double().mean())
        total = max(1, self.values)
        return Firing(self.spikes / total, self.nonzero / total, dead, self.saturated / total)


class FiringMonitor:
    """Counts the spikes of every neuron layer while the block runs.

    Args:
        network: any module with neurons of ours.

    Example:
        >>> from spikevox.layers import ILIF
        >>> network = nn.Sequential(ILIF(levels=4))
        >>> with FiringMonitor(network) as monitor:
        ...     _ = network(torch.tensor([[0.0, 1.0], [0.0, 4.0]]))
        >>> monitor.summary()["0"]
        Firing(firing_rate=1.25, nonzero=0.5, dead=0.5, saturated=0.25)
    """

    def __init__(self, network: nn.Module) -> None:
        self._layers = {name: module for name, module in network.named_modules() if isinstance(module, Neuron)}
        self._counts = {name: _Count(module.levels) for name, module in self._layers.items()}
        self._handles: list[Any] = []

    def __enter__(self) -> "FiringMonitor":
        for name, module in self._layers.items():
            count = self._counts[name]
            self._handles.append(
                module.register_forward_hook(lambda neuron, _i, output, c=count: c.add(neuron, output))
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def summary(self) -> dict[str, Firing]:
        """Statistics of each neuron layer, by the layer's name in the network."""
        return {name: count.result() for name, count in self._counts.items()}

    @property
    def firing_rate(self) -> float:
        """Mean number of spikes a value, over all layers."""
        values = sum(count.values for count in self._counts.values())
        return sum(count.spikes for count in self._counts.values()) / max(1, values)

    @property
    def nonzero(self) -> float:
        """Share of the values that are not 0, over all layers."""
        values = sum(count.values for count in self._counts.values())
        return sum(count.nonzero for count in self._counts.values()) / max(1, values)
