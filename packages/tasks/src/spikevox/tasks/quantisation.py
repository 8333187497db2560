"""Training on for integers: weights are rounded to int8 in the forward pass, and learn in floating point."""

from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor, nn

from spikevox.layers.conv import SparseConvolution
from spikevox.tasks.errors import ConfigError


def rounded_to_int8(weight: Tensor, channels: int) -> Tensor:
    """A weight as int8 would hold it, each output channel with a scale of its own: its largest is 127 steps.

    Args:
        weight: any shape.
        channels: axis of the output channels.

    Example:
        >>> rounded_to_int8(torch.tensor([[127.0, 2.4], [12.7, 0.26]]), 0)
        tensor([[127.0000,   2.0000],
                [ 12.7000,   0.3000]])
    """
    axes = [axis for axis in range(weight.ndim) if axis != channels % weight.ndim]
    step = weight.abs().amax(dim=axes, keepdim=True) / 127
    step = torch.where(step > 0, step, 1.0)
    return step * (weight / step + 0.5).floor()


class QuantisationAware(Hook):
    """Lets a network see the weights that :func:`~spikevox.layers.deploy.to_integer` will give it.

    In an experiment: ``custom_hooks = [dict(type=QuantisationAware)]``, started from trained weights. For each batch the weights
    of sparse convolutions and linear layers are rounded; before the optimiser's step those in floating point come back, and take
    the gradient as if nothing had been rounded (straight-through estimator). Validations, checkpoints and files have these.

    Raises:
        ConfigError: a network without such layers (when training begins).
    """

    def __init__(self) -> None:
        self._layers: list[tuple[SparseConvolution | nn.Linear, int]] = []
        self._exact: list[Tensor] = []
        self._handle: Any = None

    def before_train(self, runner: Any) -> None:
        """Finds the layers, and watches for the optimiser's steps."""
        self.after_train(runner)
        for module in runner.network.modules():
            if isinstance(module, SparseConvolution | nn.Linear):
                self._layers.append((module, 0 if isinstance(module, nn.Linear) else 2))
        if not self._layers:
            raise ConfigError(
                f"{type(runner.network).__name__} has no sparse convolution and no linear layer to round."
            )
        optimiser = runner.optim_wrapper.optimizer
        self._handle = optimiser.register_step_pre_hook(lambda *_: self._restore())

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Rounds."""
        self._restore()
        self._exact = [layer.weight.data for layer, _ in self._layers]
        for layer, channels in self._layers:
            layer.weight.data = rounded_to_int8(layer.weight.data, channels)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Nothing stays rounded, whether or not the optimiser made a step."""
        self._restore()

    def after_train(self, runner: Any) -> None:
        """Ends the watch."""
        self._restore()
        if self._handle is not None:
            self._handle.remove()
        self._layers, self._handle = [], None

    def _restore(self) -> None:
        for (layer, _), weight in zip(self._layers, self._exact, strict=False):
            layer.weight.data = weight
        self._exact = []
