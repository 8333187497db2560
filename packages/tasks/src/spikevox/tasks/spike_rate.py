"""Training towards fewer spikes, for any model: one setting of the runner."""

from contextlib import ExitStack
from typing import Any

from mmengine.hooks import Hook
from torch import Tensor, nn

from spikevox.layers import SpikeRateLoss

LOSS = "spike_rate_loss"


class SpikeRate(Hook):
    """Adds a :class:`~spikevox.layers.SpikeRateLoss` to what the model returns as its losses, as ``spike_rate_loss``.

    Args:
        **options: of the loss.

    Raises:
        LayerError: an option out of its range, or a model without neurons of ours (when training begins).
    """

    def __init__(self, **options: Any) -> None:
        self.loss = SpikeRateLoss(**options)
        self._watching = ExitStack()

    def before_train(self, runner: Any) -> None:
        """Watches the model."""

        def add(network: nn.Module, _arguments: Any, _options: Any, output: Any) -> dict[str, Tensor] | None:
            if not (isinstance(output, dict) and network.training):
                return None
            return {**output, LOSS: self.loss()}

        self._watching.close()
        self._watching.enter_context(self.loss.watch(runner.network))
        self._watching.callback(runner.network.register_forward_hook(add, with_kwargs=True).remove)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Tells the loss how far the training is."""
        self.loss.progress = runner.iter / max(1, runner.max_iters)

    def after_train(self, runner: Any) -> None:
        """Ends the watch."""
        self._watching.close()
