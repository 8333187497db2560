"""Watches all neurons of a network while a block runs, in training and in evaluation apart."""

from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from spikevox.layers.monitor.activity import LayerActivity, channels_last, replay_membranes
from spikevox.layers.monitor.finding import HealthFinding, Thresholds, judge, judge_drift
from spikevox.layers.neurons.neuron import Neuron
from spikevox.layers.neurons.rectified import ReLU
from spikevox.layers.sparse_tensor import features_of


class HealthMonitor:
    """Counts spikes by channel and level, membranes and gradients of every layer of neurons while the block runs.

    What runs in training mode and what runs in evaluation mode are kept apart; where both were seen, their firing rates are
    compared. Gradients are those of backward passes inside the block. Membranes of several time steps are replayed from rest.
    Layers of :class:`~spikevox.layers.ReLU` emit no spikes and are left out.

    Args:
        network: any module with neurons of ours.
        thresholds: what counts as ill.

    Example:
        >>> from spikevox.layers import ILIF
        >>> network = nn.Sequential(nn.Linear(2, 50), ILIF(levels=4))
        >>> _ = nn.init.constant_(network[0].bias, -100.0)
        >>> with HealthMonitor(network.eval()) as monitor:
        ...     _ = network(torch.randn(500, 2))
        >>> [(finding.kind, finding.layer) for finding in monitor.findings()]
        [('dead', '1'), ('membrane', '1')]
    """

    def __init__(self, network: nn.Module, thresholds: Thresholds | None = None) -> None:
        self.thresholds = thresholds or Thresholds()
        self._neurons = {
            name: module
            for name, module in network.named_modules()
            if isinstance(module, Neuron) and not isinstance(module, ReLU)
        }
        self._seen: dict[bool, dict[str, LayerActivity]] = {True: {}, False: {}}
        self._handles: list[Any] = []
        self._watching = False

    def __enter__(self) -> "HealthMonitor":
        self._watching = True
        for name, module in self._neurons.items():
            self._handles.append(
                module.register_forward_hook(lambda m, inputs, output, n=name: self._look(n, m, inputs[0], output))
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watching = False
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _look(self, name: str, neuron: Neuron, x: Any, output: Any) -> None:
        activity = self._seen[neuron.training].setdefault(name, LayerActivity(neuron.levels))
        spikes, inputs = features_of(output), features_of(x)
        with torch.no_grad():
            activity.add_spikes(channels_last(neuron, output, spikes))
            replayed = replay_membranes(neuron, channels_last(neuron, x, inputs.detach()))
            if replayed is not None:
                activity.add_membranes(*replayed)
        self._follow(spikes, activity, of_spikes=True)
        self._follow(inputs, activity, of_spikes=False)

    def _follow(self, tensor: Tensor, activity: LayerActivity, *, of_spikes: bool) -> None:
        """Counts the gradient that arrives at a tensor while the block runs."""

        def arrived(gradient: Tensor) -> None:
            if self._watching:
                activity.add_gradient(gradient.detach(), of_spikes=of_spikes)

        if tensor.requires_grad:
            tensor.register_hook(arrived)

    def layers(self, *, training: bool = False) -> dict[str, LayerActivity]:
        """What each layer did in one mode, by its name in the network; those that did not run are left out."""
        return {name: self._seen[training][name] for name in self._neurons if name in self._seen[training]}

    def findings(self) -> list[HealthFinding]:
        """What is ill, layer by layer; of layers that ran in both modes, in evaluation, and their gradients in training."""
        train, evaluation = self.layers(training=True), self.layers()
        return [
            *judge(train | evaluation, train or evaluation, self.thresholds),
            *judge_drift(train, evaluation, self.thresholds),
        ]
