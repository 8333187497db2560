"""A loss that asks a network to fire less: each spike costs time and energy wherever spikes are what is computed with."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spikevox.layers.all_reduce import all_reduce_sum
from spikevox.layers.errors import LayerError
from spikevox.layers.neurons.neuron import Neuron
from spikevox.layers.sparse_tensor import features_of


class SpikeRateLoss(nn.Module):
    """Hinge on firing rates: ``weight * sum_l max(0, r_l - target)``, with ``r_l`` the firing rate of neuron layer l.

    The firing rate is the mean number of spikes a site, channel and time step, as in
    :class:`~spikevox.layers.monitor.FiringMonitor`; an integer neuron that emits 3 counts as three. Below the target
    nothing is asked for, so that a layer that needs few spikes is left alone. In a distributed run rates are those of the
    global batch.

    Args:
        target: firing rate that is free of cost, at least 0.
        weight: of the loss, at least 0.
        over: ``"layer"``: every layer is held to the target; ``"network"``: only the mean over all values of all layers,
            times the number of layers, so that one weight serves both.
        ramp: share of the training, in [0, 1], over which the weight grows from 0 to its value; see ``progress``.

    Attributes:
        progress: share of the training that is done, in [0, 1]; whoever trains sets it. 1 at first: the full weight.

    Raises:
        LayerError: an argument out of its range; from the call also where no neuron has fired inside :meth:`watch`.

    Example:
        >>> from spikevox.layers import ILIF
        >>> network = nn.Sequential(ILIF(levels=4))
        >>> spike_rate = SpikeRateLoss(target=0.5, weight=2.0)
        >>> with spike_rate.watch(network):
        ...     _ = network(torch.tensor([[0.0, 1.0], [0.0, 4.0]]))
        ...     spike_rate()
        tensor(1.5000)
    """

    def __init__(
        self,
        target: float,
        weight: float = 0.5,
        *,
        over: Literal["layer", "network"] = "layer",
        ramp: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value in (("target", target), ("weight", weight)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise LayerError(f"{name} of a spike rate loss must be a number of at least 0, got {value!r}.")
        if isinstance(ramp, bool) or not isinstance(ramp, int | float) or not 0 <= ramp <= 1:
            raise LayerError(f"ramp of a spike rate loss must lie in [0, 1], got {ramp!r}.")
        if over not in ("layer", "network"):
            raise LayerError(f"over of a spike rate loss must be 'layer' or 'network', got {over!r}.")
        self.target = float(target)
        self.weight = float(weight)
        self.over = over
        self.ramp = float(ramp)
        self.progress = 1.0
        self._spikes: dict[str, Tensor] = {}
        self._values: dict[str, int] = {}

    @contextmanager
    def watch(self, network: nn.Module) -> Iterator[None]:
        """Counts what the neurons of a network emit inside the block, wherever gradients are recorded.

        Raises:
            LayerError: a network without neurons of ours.
        """
        layers = {name: module for name, module in network.named_modules() if isinstance(module, Neuron)}
        if not layers:
            raise LayerError("a spike rate loss needs a network with neurons of spikevox.layers, this one has none.")
        self._forget()
        handles = [module.register_forward_hook(self._counter(name)) for name, module in layers.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            self._forget()

    def forward(self) -> Tensor:
        """The loss of all that was emitted since the block began or the last call, as a scalar."""
        if not self._spikes:
            raise LayerError("a spike rate loss is called inside its watch(network), after the network has run.")
        spikes = torch.stack(list(self._spikes.values()))
        values = spikes.new_tensor(list(self._values.values()))
        self._forget()
        spikes, values = all_reduce_sum(spikes), all_reduce_sum(values)
        if self.over == "layer":
            excess = (spikes / values.clamp(min=1) - self.target).clamp(min=0).sum()
        else:
            excess = (spikes.sum() / values.sum().clamp(min=1) - self.target).clamp(min=0) * len(spikes)
        grown = min(1.0, self.progress / self.ramp) if self.ramp else 1.0
        return self.weight * grown * excess

    def extra_repr(self) -> str:
        """Target and weight."""
        return f"target={self.target}, weight={self.weight}, over={self.over!r}, ramp={self.ramp}"

    def _counter(self, name: str) -> Any:
        def count(_module: nn.Module, _inputs: Any, output: Any) -> None:
            # A validation between two steps is none of the loss's business.
            if not torch.is_grad_enabled():
                return
            features = features_of(output)
            total = features.sum()
            self._spikes[name] = self._spikes[name] + total if name in self._spikes else total
            self._values[name] = self._values.get(name, 0) + features.numel()

        return count

    def _forget(self) -> None:
        self._spikes, self._values = {}, {}
