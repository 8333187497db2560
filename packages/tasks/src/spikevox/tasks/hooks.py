"""What a training run writes while it goes: a log with each step once, tensorboard, the health of its neurons."""

import json
import logging
import math
import time
from pathlib import Path
from typing import Any

from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import Hook
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from spikevox.encoding.errors import SpikevoxError
from spikevox.layers.monitor import FiringMonitor
from spikevox.tasks.checkpoint import write_atomically

LOGGER = logging.getLogger("spikevox")


class TrainingError(SpikevoxError, ArithmeticError):
    """Training has diverged."""


class TrainingLog(Hook):
    """Writes ``log.jsonl`` (one line a step and a validation), tensorboard, and a line an epoch to the logger.

    A resumed run first cuts both logs back to the step that it resumes from.

    Args:
        folder: where to write.
        interval: steps between two entries in tensorboard.
    """

    priority = "LOW"

    def __init__(self, folder: str | Path, interval: int = 10) -> None:
        self.folder = Path(folder)
        self.path = self.folder / "log.jsonl"
        self.interval = interval
        self._writer: SummaryWriter | None = None
        self._losses: list[float] = []
        self._start = 0.0
        self._first_step = 0

    def before_train(self, runner: Any) -> None:
        """Opens the logs."""
        self._start, self._first_step = time.monotonic(), runner.iter
        if not is_main_process():
            return
        kept = _lines_until(self.path, runner.iter)
        write_atomically(self.path, "".join(kept).encode())
        self._writer = SummaryWriter(str(self.folder / "tensorboard"), purge_step=runner.iter + 1)

    def before_train_epoch(self, runner: Any) -> None:
        """Starts the mean of the epoch."""
        self._losses = []

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Writes the step.

        Raises:
            TrainingError: the loss is NaN or infinite; names the first parameter that is not finite.
        """
        values = {name: _mean_over_processes(value) for name, value in (outputs or {}).items()}
        step = runner.iter + 1
        if not math.isfinite(values["loss"]):
            raise TrainingError(
                f"the loss of step {step} is {values['loss']}; {_first_not_finite(runner.model)}. Lower the learning rate, "
                "or look at the samples of this step."
            )
        self._losses.append(values["loss"])
        if self._writer is None:
            return
        rate = runner.optim_wrapper.get_lr()["lr"][0]
        self._write({"step": step, "epoch": runner.epoch + 1, "learning_rate": rate, **values})
        if step % self.interval == 0:
            for name, value in {"learning_rate": rate, **values}.items():
                self._writer.add_scalar(f"train/{name}", value, step)

    def after_train_epoch(self, runner: Any) -> None:
        """Tells loss and time left."""
        done = runner.iter - self._first_step
        left = (time.monotonic() - self._start) / max(1, done) * (runner.max_iters - runner.iter)
        mean = sum(self._losses) / max(1, len(self._losses))
        LOGGER.info("epoch %d of %d: loss %.4f, %s left", runner.epoch + 1, runner.max_epochs, mean, _duration(left))

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Writes the figures of a validation."""
        LOGGER.info("validation: %s", ", ".join(f"{k} {v:.4g}" for k, v in (metrics or {}).items()))
        if self._writer is None:
            return
        self._write({"step": runner.iter, "epoch": runner.epoch, "validation": metrics})
        for name, value in (metrics or {}).items():
            self._writer.add_scalar(f"validation/{name}", value, runner.iter)

    def after_train(self, runner: Any) -> None:
        """Closes tensorboard."""
        if self._writer is not None:
            self._writer.close()

    def add_scalars(self, scalars: dict[str, float], step: int) -> None:
        """Further scalars for tensorboard, from other hooks."""
        if self._writer is not None:
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, step)

    def _write(self, record: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


class NeuronHealth(Hook):
    """Firing rate, dead and saturated share of every neuron layer over each validation, for tensorboard.

    Args:
        log: the hook that writes.
    """

    def __init__(self, log: TrainingLog) -> None:
        self._log = log
        self._monitor: FiringMonitor | None = None

    def before_val_epoch(self, runner: Any) -> None:
        """Starts to count."""
        self._monitor = FiringMonitor(runner.model).__enter__()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Writes what was counted."""
        if self._monitor is None:
            return
        self._monitor.__exit__(None, None, None)
        for name, firing in self._monitor.summary().items():
            scalars = {f"{key}/{name}": value for key, value in firing._asdict().items()}
            self._log.add_scalars(scalars, runner.iter)


def _lines_until(path: Path, step: int) -> list[str]:
    """Whole lines of a log up to a step; a line that a kill cut short is left out."""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError):
            continue
    return kept


def _first_not_finite(network: nn.Module) -> str:
    for name, parameter in network.named_parameters():
        if not bool(parameter.isfinite().all()):
            return f"the parameter {name} is not finite"
        if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
            return f"the gradient of {name} is not finite"
    return "all parameters are finite"


def _mean_over_processes(value: Tensor) -> float:
    value = value.detach().clone()
    all_reduce(value, op="mean")
    return value.item()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
