"""The training loop and its checkpoints: a killed run resumes bit for bit."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mmengine.runner
import torch
from mmengine.dist import barrier, is_distributed, is_main_process
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import EpochBasedTrainLoop

from spikevox.tasks.checkpoint import (
    describe_network,
    load_checkpoint,
    load_start,
    save_checkpoint,
    save_weights,
    versions,
    write_atomically,
)
from spikevox.tasks.errors import CheckpointError
from spikevox.tasks.hooks import LOGGER, ProgressBar
from spikevox.tasks.random_state import random_state, set_random_state

CHECKPOINT = "last.pth"
WEIGHTS = "weights.safetensors"
BEST_WEIGHTS = "best.safetensors"
FIGURES = "training.json"
INITIAL = "initial_weights_sha256"


class TrainLoop(EpochBasedTrainLoop):
    """Epochs of training, each followed by validation where it is due, and then by one checkpoint.

    The checkpoint comes last, so that a run killed in validation repeats the epoch and misses nothing.
    """

    def run(self) -> torch.nn.Module:
        """Trains to the last epoch."""
        self.runner.call_hook("before_train")
        while self._epoch < self._max_epochs:
            self.dataloader.batch_sampler.set_epoch(self._epoch)
            self.run_epoch()
            due = self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs
            if self.runner.val_loop is not None and due:
                self.runner.keep_validation(self.runner.val_loop.run())
            self.runner.save_state()
        self.runner.call_hook("after_train")
        return self.runner.model


class Runner(mmengine.runner.Runner):
    """mmengine's runner with checkpoints of plain types that hold all that a bit-equal resume needs.

    Attributes:
        facts: what the weights say of themselves.
        best: figure and epoch of the best validation.
        validation: figures of the last one.
        progress: the bar.
        score: the figure of a validation that the best is chosen by; the model's metric names it.
    """

    facts: dict[str, Any]
    best: dict[str, Any]
    validation: dict[str, float]
    progress: ProgressBar
    score: str

    @property
    def network(self) -> torch.nn.Module:
        """The model without the wrapper of a distributed run."""
        return self.model.module if isinstance(self.model, MMDistributedDataParallel) else self.model

    def wrap_model(self, model_wrapper_cfg: Any, model: torch.nn.Module) -> torch.nn.Module:
        """Data parallel over processes; on the CPU mmengine's own choice of a device would be refused."""
        return MMDistributedDataParallel(model) if is_distributed() else model

    def train(self) -> torch.nn.Module:
        """Trains, and leaves weights and figures in the work folder.

        Raises:
            CheckpointError: the checkpoint to resume from belongs to another configuration, or is damaged.
            TrainingError: the loss or a weight is no longer finite.
        """
        self._start, self._seconds_before = time.monotonic(), 0.0
        try:
            model = super().train()
        finally:
            self.progress.close()
        if is_main_process():
            folder = Path(self.work_dir)
            save_weights(folder / WEIGHTS, self.network, self.facts, tensors=self.weights())
            write_atomically(folder / FIGURES, (json.dumps(self.figures(), indent=2) + "\n").encode())
        # The files are there when any process returns.
        barrier()
        return model

    def figures(self) -> dict[str, Any]:
        """What a finished training tells of itself, as JSON types."""
        return {
            "validation": self.validation or None,
            "best": self.best or None,
            "epochs": self.epoch,
            "steps": self.iter,
            "seconds": round(self._seconds(), 1),
            "seed": self.facts["seed"],
            "versions": versions(),
        }

    def weights(self) -> dict[str, torch.Tensor]:
        """The weights to keep: the averaged ones where mmengine's EMAHook averages them."""
        content: dict[str, Any] = {"state_dict": dict(self.network.state_dict())}
        self.call_hook("before_save_checkpoint", checkpoint=content)
        return content["state_dict"]

    def start_from(self, weights: str | Path) -> None:
        """Lets a training begin with weights of the same network, input and classes; those it leaves name their SHA-256.

        A detector of two stages may begin with weights of its first one.

        Raises:
            CheckpointError: they cannot be read, or belong to another network, input or classes.
        """
        load_start(self.network, weights, self.facts)
        self.facts[INITIAL] = hashlib.sha256(Path(weights).read_bytes()).hexdigest()

    def load_or_resume(self) -> None:
        """Restores the last checkpoint of the work folder where a resume was asked for."""
        path = Path(self.work_dir) / CHECKPOINT
        if is_main_process():
            # What a kill in the middle of a write leaves behind.
            for partial in path.parent.glob(".*.partial"):
                partial.unlink()
        if not self._resume or not path.is_file():
            if self._resume:
                LOGGER.warning("%s holds no checkpoint yet: training starts anew", self.work_dir)
            if is_main_process():
                _remove_results(path.parent)
            return
        content = load_checkpoint(path)
        self._check_origin(content, path)
        self._restore(content)
        LOGGER.info("resumed from %s after epoch %d", path, content["epoch"])

    def _check_origin(self, content: Mapping[str, Any], path: Path) -> None:
        ours = self.facts["config"]
        theirs = content.get("config", {})
        different = sorted(key for key in {*theirs, *ours} if theirs.get(key) != ours.get(key))
        if different:
            raise CheckpointError(
                f"{path} was written by another experiment: {', '.join(different)} differ from the config. Resume with the "
                "same config, or train into another folder."
            )
        if content["versions"] != versions():
            changed = [f"{name} {old} -> {versions().get(name)}" for name, old in content["versions"].items()]
            changed = [text for text in changed if text.split(" ")[1] != text.split(" ")[3]]
            LOGGER.warning("versions changed since the checkpoint, results may differ: %s", ", ".join(changed))

    def _restore(self, content: dict[str, Any]) -> None:
        self.call_hook("after_load_checkpoint", checkpoint=content)
        self.network.load_state_dict(content["state_dict"])
        facts = json.loads(content["facts"])
        if INITIAL in facts:
            self.facts[INITIAL] = facts[INITIAL]
        self.optim_wrapper.load_state_dict(content["optimizer"])
        for scheduler, state in zip(self.param_schedulers or [], content["schedulers"], strict=True):
            scheduler.load_state_dict(state)
        self.train_loop._epoch = content["epoch"]
        self.train_loop._iter = content["iter"]
        self.best = content["best"]
        self.validation = content["validation"]
        self._seconds_before = content["seconds"]
        set_random_state(content["random_state"])

    def save_state(self) -> None:
        """Writes the checkpoint: the old one is there until the new one is complete."""
        if not is_main_process():
            return
        content = {
            "state_dict": dict(self.network.state_dict()),
            "optimizer": self.optim_wrapper.state_dict(),
            "schedulers": [scheduler.state_dict() for scheduler in self.param_schedulers or []],
            "epoch": self.epoch,
            "iter": self.iter,
            "best": self.best,
            "validation": self.validation,
            "seconds": self._seconds(),
            "random_state": random_state(),
            "config": self.facts["config"],
            "facts": describe_network(self.network, self.facts),
            "versions": versions(),
        }
        self.call_hook("before_save_checkpoint", checkpoint=content)
        save_checkpoint(Path(self.work_dir) / CHECKPOINT, content)

    def keep_validation(self, metrics: Mapping[str, float]) -> None:
        """Remembers the figures, and stores the weights of the best validation so far; the first of equals stays."""
        self.validation = {name: float(value) for name, value in metrics.items()}
        score = float(metrics[self.score])
        if score <= self.best.get(self.score, -1.0) or not is_main_process():
            return
        self.best = {self.score: score, "epoch": self.epoch}
        facts = self.facts | {"epoch": self.epoch}
        save_weights(Path(self.work_dir) / BEST_WEIGHTS, self.network, facts, tensors=self.weights())

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._start


def _remove_results(folder: Path) -> None:
    """Removes what an earlier training left in a folder that a new one starts in."""
    for name in (CHECKPOINT, WEIGHTS, BEST_WEIGHTS, FIGURES):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "tensorboard", ignore_errors=True)
