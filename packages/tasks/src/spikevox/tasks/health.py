"""What keeps an eye on the network while it trains: its neurons, its numbers, its membranes."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor, nn

from spikevox.encoding.errors import SpikevoxError
from spikevox.layers import reset_states
from spikevox.layers.monitor import FiringMonitor, HealthMonitor, Thresholds
from spikevox.layers.sparse_tensor import SparseTensor
from spikevox.tasks.hooks import LOGGER, TrainingLog


class TrainingError(SpikevoxError, ArithmeticError):
    """Training has diverged."""


class StateReset(Hook):
    """Puts every neuron at rest before each batch: its samples have nothing to do with those before."""

    priority = "VERY_HIGH"

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Resets before a training step."""
        reset_states(runner.network)

    def before_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Resets before a validation batch."""
        reset_states(runner.network)


class NeuronHealth(Hook):
    """Firing rate, dead and saturated share of every neuron layer, for tensorboard; the first process's share of the data.

    Args:
        log: the hook that writes.
        interval: steps between two training batches that are looked at; every validation is counted whole.
    """

    def __init__(self, log: TrainingLog, interval: int = 50) -> None:
        self._log = log
        self.interval = interval
        self._monitor: FiringMonitor | None = None

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Starts to count, where this step's turn has come."""
        if (runner.iter + 1) % self.interval == 0 or runner.iter == 0:
            self._monitor = FiringMonitor(runner.network).__enter__()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Tensor] | None = None
    ) -> None:
        """Writes the step that was counted."""
        self._write("train_", runner.iter + 1)

    def before_val_epoch(self, runner: Any) -> None:
        """Starts to count."""
        self._monitor = FiringMonitor(runner.network).__enter__()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Writes the validation."""
        self._write("", runner.iter)

    def _write(self, prefix: str, step: int) -> None:
        if self._monitor is None:
            return
        monitor, self._monitor = self._monitor, None
        monitor.__exit__(None, None, None)
        scalars = {f"{prefix}firing_rate": monitor.firing_rate}
        for name, firing in monitor.summary().items():
            scalars |= {f"{prefix}{key}/{name}": value for key, value in firing._asdict().items()}
        self._log.add_scalars(scalars, step)
        self._log.firing_rate = monitor.firing_rate


class HealthWatch(Hook):
    """Tells of neurons that are ill: dead, saturated, silent or bursting channels, unused levels, membranes, gradients, drift.

    Some training steps and the first batches of each validation are looked at. After a validation, or at the end of a training
    without one, each kind of illness is one line of warning, and all findings are one line of ``log.jsonl``.

    Args:
        log: the hook that writes.
        interval: steps between two training batches that are looked at.
        batches: of a validation that are looked at.
        thresholds: what counts as ill.
    """

    def __init__(
        self, log: TrainingLog, interval: int = 50, batches: int = 8, thresholds: Thresholds | None = None
    ) -> None:
        self._log = log
        self.interval = interval
        self.batches = batches
        self.thresholds = thresholds
        self._monitor: HealthMonitor | None = None
        self._looking = ExitStack()

    def _look(self, runner: Any) -> None:
        if self._monitor is None:
            self._monitor = HealthMonitor(runner.network, self.thresholds)
        self._looking.enter_context(self._monitor)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Looks at this step, where its turn has come."""
        if (runner.iter + 1) % self.interval == 0:
            self._look(runner)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Tensor] | None = None
    ) -> None:
        """Looks away."""
        self._looking.close()

    def before_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Looks at the first batches."""
        if batch_idx < self.batches:
            self._look(runner)

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Looks away."""
        self._looking.close()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Tells what was found."""
        self._tell(runner.iter)

    def after_train(self, runner: Any) -> None:
        """Tells what was found since the last validation."""
        self._tell(runner.iter)

    def _tell(self, step: int) -> None:
        findings = [] if self._monitor is None else self._monitor.findings()
        self._monitor = None
        if findings:
            told = [vars(finding) | {"value": _finite_or_none(finding.value)} for finding in findings]
            self._log.add_record({"step": step, "findings": told})
        for kind in dict.fromkeys(finding.kind for finding in findings):
            alike = [finding for finding in findings if finding.kind == kind]
            others = "" if len(alike) == 1 else f" ({len(alike) - 1} more layers alike, see log.jsonl)"
            LOGGER.warning("neurons, %s: %s%s", kind, alike[0], others)


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


class FiniteCheck(Hook):
    """Stops a training whose numbers are no longer finite, and names the layer where that begins.

    The loss is looked at before the step that it would spoil, the weights after each step: a binary neuron answers a
    membrane that is NaN with no spike, so that the loss alone would not tell.
    """

    priority = "HIGHEST"

    def __init__(self) -> None:
        self._handle: Any = None

    def before_train(self, runner: Any) -> None:
        """Watches the loss."""

        def check(network: nn.Module, arguments: Any, options: Any, output: Any) -> None:
            # As mmengine adds them up.
            parts = output.items() if isinstance(output, dict) else ()
            total = sum(float(value.detach()) for name, value in parts if "loss" in name)
            if math.isfinite(total):
                return
            self._stop_watching()
            raise TrainingError(
                f"the loss of step {runner.iter + 1} is {total}: "
                f"{_first_layer(network, arguments, options)}. Lower the learning rate, clip gradients "
                "(optim_wrapper.clip_grad), or look at the samples of this step."
            )

        self._stop_watching()
        self._handle = runner.network.register_forward_hook(check, with_kwargs=True)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Tensor] | None = None
    ) -> None:
        """Looks at the weights.

        Raises:
            TrainingError: a weight is NaN or infinite.
        """
        weights = dict(runner.network.named_parameters())
        if bool(nn.utils.get_total_norm(weights.values()).isfinite()):
            return
        wrong = [name for name, weight in weights.items() if not bool(weight.isfinite().all())]
        if wrong:
            raise TrainingError(
                f"step {runner.iter + 1} left {len(wrong)} of {len(weights)} parameters NaN or infinite, first {wrong[0]}: "
                "its gradient was. Lower the learning rate, or clip gradients (optim_wrapper.clip_grad)."
            )

    def after_train(self, runner: Any) -> None:
        """Ends the watch."""
        self._stop_watching()

    def _stop_watching(self) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None


@torch.no_grad()
def _first_layer(network: nn.Module, arguments: Any, options: Any) -> str:
    """Runs a batch again and tells which layer first has an output that is not finite."""
    found: list[str] = []

    def look(name: str, module: nn.Module) -> Any:
        def after(_module: nn.Module, _inputs: Any, output: Any) -> None:
            wrong = sum(int((~values.isfinite()).sum()) for values in _tensors(output))
            if wrong:
                spoilt = any(not bool(p.isfinite().all()) for p in module.parameters())
                cause = ", as its weights are not finite" if spoilt else ""
                found.append(
                    f"layer {name} ({type(module).__name__}) puts out {wrong} values that are NaN or infinite{cause}"
                )

        return module.register_forward_hook(after)

    with ExitStack() as stack:
        for name, module in network.named_modules():
            if name and not any(module.children()):
                stack.callback(look(name, module).remove)
        reset_states(network)
        network(*arguments, **options)
    return found[0] if found else "every layer's output is finite, so the loss itself overflows"


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, SparseTensor):
        yield output.features
    elif isinstance(output, Tensor):
        yield output
