"""What a training run writes while it goes: a log with each step once, tensorboard, a line an epoch, a progress bar."""

import json
import logging
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import Hook
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from spikevox.encoding import VoxelReport
from spikevox.tasks.atomic import write_atomically

LOGGER = logging.getLogger("spikevox")


class TrainingLog(Hook):
    """Writes ``log.jsonl``, tensorboard, and a line an epoch to the logger.

    ``log.jsonl`` has one line a step, one with the voxel report an epoch, and one a validation. A resumed run first cuts
    both logs back to the step that it resumes from.

    Args:
        folder: where to write.
        interval: steps between two entries in tensorboard.

    Attributes:
        firing_rate: the newest one that was measured, for the line of the epoch; NaN before the first.
    """

    priority = "LOW"

    def __init__(self, folder: str | Path, interval: int = 10) -> None:
        self.folder = Path(folder)
        self.path = self.folder / "log.jsonl"
        self.interval = interval
        self.firing_rate = math.nan
        self._writer: SummaryWriter | None = None
        self._sums: dict[str, float] = {}
        self._steps = 0
        self._report = VoxelReport()
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
        """Starts the sums of the epoch."""
        self._sums, self._steps, self._report = {}, 0, VoxelReport()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Writes the step."""
        values = {name: _mean_over_processes(value) for name, value in (outputs or {}).items()}
        step = runner.iter + 1
        self._sums = {name: self._sums.get(name, 0.0) + value for name, value in values.items()}
        self._steps += 1
        report = getattr(data_batch, "report", None)
        if report is not None:
            self._report = self._report + report
        if self._writer is None:
            return
        rate = runner.optim_wrapper.get_lr()["lr"][0]
        self._write({"step": step, "epoch": runner.epoch + 1, "learning_rate": rate, **values})
        if step % self.interval == 0:
            self.add_scalars({f"train/{name}": v for name, v in {"learning_rate": rate, **values}.items()}, step)

    def after_train_epoch(self, runner: Any) -> None:
        """Tells the means, the time left, and what became of the points."""
        means = ", ".join(f"{name} {total / self._steps:.4f}" for name, total in self._sums.items())
        done = runner.iter - self._first_step
        left = (time.monotonic() - self._start) / max(1, done) * (runner.max_iters - runner.iter)
        firing = "" if math.isnan(self.firing_rate) else f", firing rate {self.firing_rate:.3f}"
        LOGGER.info(
            "epoch %d of %d: %s%s, %s left", runner.epoch + 1, runner.max_epochs, means, firing, _duration(left)
        )
        report = _sum_over_processes(self._report)
        if runner.epoch == 0 or report.empty:
            LOGGER.info("voxels of epoch %d: %s", runner.epoch + 1, report)
        if self._writer is not None:
            counts = asdict(report)
            self._write({"step": runner.iter, "epoch": runner.epoch + 1, "voxels": counts})
            self.add_scalars({f"voxels/{name}": count for name, count in counts.items()}, runner.iter)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Writes the figures of a validation."""
        LOGGER.info("validation: %s", ", ".join(f"{k} {v:.4g}" for k, v in (metrics or {}).items()))
        if self._writer is None:
            return
        self._write({"step": runner.iter, "epoch": runner.epoch, "validation": metrics})
        self.add_scalars({f"validation/{name}": value for name, value in (metrics or {}).items()}, runner.iter)

    def after_train(self, runner: Any) -> None:
        """Closes tensorboard."""
        if self._writer is not None:
            self._writer.close()

    def add_scalars(self, scalars: dict[str, float], step: int) -> None:
        """Further scalars for tensorboard, also from other hooks."""
        if self._writer is not None:
            for name, value in scalars.items():
                self._writer.add_scalar(name, value, step)

    def add_figure(self, name: str, figure: Any, step: int) -> None:
        """A picture for tensorboard, from another hook."""
        if self._writer is not None:
            # Half of matplotlib's resolution: a long training keeps one of each validation.
            figure.set_dpi(50)
            self._writer.add_figure(name, figure, step)

    def add_record(self, record: dict[str, Any]) -> None:
        """A line for ``log.jsonl``, from another hook; it has a ``step``."""
        if self._writer is not None:
            self._write(record)

    def _write(self, record: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


class ProgressBar(Hook):
    """Steps done, loss and time left as a bar, where the output is a terminal.

    Args:
        log: the hook whose firing rate is shown.
        console: where to draw; standard output by default.
    """

    priority = "VERY_LOW"

    def __init__(self, log: TrainingLog, console: Console | None = None) -> None:
        self._log = log
        self._console = console
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def before_train(self, runner: Any) -> None:
        """Draws the bar."""
        console = self._console or Console()
        if not is_main_process() or not console.is_terminal:
            return
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=console,
        )
        self._task = self._progress.add_task("training", total=runner.max_iters, completed=runner.iter)
        self._progress.start()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Moves the bar on."""
        if self._progress is None:
            return
        loss = float((outputs or {}).get("loss", math.nan))
        firing = "" if math.isnan(self._log.firing_rate) else f" firing {self._log.firing_rate:.3f}"
        text = f"epoch {runner.epoch + 1}/{runner.max_epochs} loss {loss:.3f}{firing}"
        self._progress.update(self._task, completed=runner.iter + 1, description=text)

    def close(self) -> None:
        """Gives the terminal back, also after an error."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


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


def _mean_over_processes(value: Tensor) -> float:
    value = value.detach().clone()
    all_reduce(value, op="mean")
    return value.item()


def _sum_over_processes(report: VoxelReport) -> VoxelReport:
    counts = torch.tensor(list(asdict(report).values()), dtype=torch.int64)
    all_reduce(counts)
    return VoxelReport(*counts.tolist())


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
