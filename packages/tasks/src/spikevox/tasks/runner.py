"""The one runner of all experiments, on mmengine; a killed run resumes bit for bit."""

import logging
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mmengine.runner
import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size, is_distributed, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import DataLoader

from spikevox.encoding import collate
from spikevox.tasks.build import build
from spikevox.tasks.checkpoint import load_checkpoint, save_checkpoint, save_weights, versions
from spikevox.tasks.classification.metric import ClassificationMetric
from spikevox.tasks.config import to_plain
from spikevox.tasks.datasets.base import PointDataset
from spikevox.tasks.errors import CheckpointError
from spikevox.tasks.hooks import LOGGER, NeuronHealth, TrainingLog
from spikevox.tasks.sampler import EpochBatchSampler

CHECKPOINT = "last.pth"
WEIGHTS = "weights.safetensors"
BEST_WEIGHTS = "best.safetensors"


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
                self.runner.keep_best(self.runner.val_loop.run())
            self.runner.save_state()
        self.runner.call_hook("after_train")
        return self.runner.model


class Runner(mmengine.runner.Runner):
    """mmengine's runner with checkpoints of plain types that hold all that a bit-equal resume needs."""

    facts: dict[str, Any]
    best: dict[str, Any]

    @property
    def network(self) -> torch.nn.Module:
        """The model without the wrapper of a distributed run."""
        return self.model.module if isinstance(self.model, MMDistributedDataParallel) else self.model

    def wrap_model(self, model_wrapper_cfg: Any, model: torch.nn.Module) -> torch.nn.Module:
        """Data parallel over processes; on the CPU mmengine's own choice of a device would be refused."""
        return MMDistributedDataParallel(model) if is_distributed() else model

    def load_or_resume(self) -> None:
        """Restores the last checkpoint of the work folder where a resume was asked for."""
        if not self._resume:
            return
        path = Path(self.work_dir) / CHECKPOINT
        if not path.is_file():
            LOGGER.warning("%s holds no checkpoint yet: training starts anew", self.work_dir)
            return
        content = load_checkpoint(path)
        if content["config"] != self.facts["config"]:
            different = sorted(
                key
                for key in {*content["config"], *self.facts["config"]}
                if content["config"].get(key) != self.facts["config"].get(key)
            )
            raise CheckpointError(
                f"{path} was written by another experiment: {', '.join(different)} differ from the config. Resume with the "
                "same config, or train into another folder."
            )
        self._restore(content)
        LOGGER.info("resumed from %s after epoch %d", path, content["epoch"])

    def _restore(self, content: Mapping[str, Any]) -> None:
        self.network.load_state_dict(content["state_dict"])
        self.optim_wrapper.load_state_dict(content["optimizer"])
        for scheduler, state in zip(self.param_schedulers or [], content["schedulers"], strict=True):
            scheduler.load_state_dict(state)
        self.train_loop._epoch = content["epoch"]
        self.train_loop._iter = content["iter"]
        self.best = content["best"]
        _set_random_state(content["random_state"])

    def save_state(self) -> None:
        """Writes the checkpoint: the old one is there until the new one is complete."""
        if not is_main_process():
            return
        save_checkpoint(
            Path(self.work_dir) / CHECKPOINT,
            {
                "state_dict": self.network.state_dict(),
                "optimizer": self.optim_wrapper.state_dict(),
                "schedulers": [scheduler.state_dict() for scheduler in self.param_schedulers or []],
                "epoch": self.epoch,
                "iter": self.iter,
                "best": self.best,
                "random_state": _random_state(),
                "config": self.facts["config"],
                "versions": versions(),
            },
        )

    def keep_best(self, metrics: Mapping[str, float]) -> None:
        """Stores the weights of the best validation so far; the first of equals stays."""
        if metrics["accuracy"] <= self.best.get("accuracy", -1.0) or not is_main_process():
            return
        self.best = {"accuracy": float(metrics["accuracy"]), "epoch": self.epoch}
        save_weights(Path(self.work_dir) / BEST_WEIGHTS, self.network, self.facts | {"epoch": self.epoch})


def build_runner(config: Mapping[str, Any], work_dir: str | Path, *, resume: bool = False) -> Runner:
    """The runner of an experiment.

    Args:
        config: from :func:`spikevox.tasks.config.load_config`.
        work_dir: folder for checkpoints, weights and logs.
        resume: go on from the folder's last checkpoint; without one, start anew and say so.

    Raises:
        ConfigError: the configuration cannot be built.
        CheckpointError: on ``train()``: the checkpoint belongs to another configuration.
    """
    if "RANK" in os.environ and not is_distributed():
        # mmengine's own start would look for a GPU.
        torch.distributed.init_process_group("gloo")
    seed = config["randomness"].get("seed", 0)
    train, train_options = _dataset(config["train_dataloader"])
    val = _dataset(config["val_dataloader"])[0] if "val_dataloader" in config else None
    batch_size = train_options["batch_size"]
    loop = dict(config["train_cfg"])
    log = TrainingLog(work_dir)
    runner = Runner(
        model=dict(config["model"]),
        work_dir=str(work_dir),
        train_dataloader=_loader(train, batch_size, seed, shuffle=True, workers=train_options.get("num_workers", 0)),
        train_cfg={"type": TrainLoop, **loop},
        val_dataloader=None if val is None else _loader(val, batch_size, seed, shuffle=False),
        val_cfg=None if val is None else {},
        val_evaluator=None if val is None else Evaluator([ClassificationMetric(len(val.class_names))]),
        optim_wrapper=dict(config["optim_wrapper"]),
        param_scheduler=[dict(s) for s in config.get("param_scheduler", [])],
        default_hooks={"timer": None, "logger": None, "checkpoint": None, "sampler_seed": None},
        custom_hooks=[log, NeuronHealth(log)],
        launcher="pytorch" if is_distributed() else "none",
        log_level=logging.WARNING,
        randomness=dict(config["randomness"]),
        resume=resume,
        experiment_name="spikevox",
    )
    runner.best = {}
    runner.facts = describe(config, train)
    return runner


def describe(config: Mapping[str, Any], dataset: PointDataset) -> dict[str, Any]:
    """What the weights of an experiment carry: network, input, classes, data, seed, versions, the whole config."""
    plain = to_plain(config)
    return {
        "model": plain["model"],
        "voxels": dataset.pipeline.settings(),
        "class_names": list(dataset.class_names),
        "data": plain["train_dataloader"]["dataset"],
        "seed": config["randomness"].get("seed", 0),
        "epochs": config["train_cfg"]["max_epochs"],
        "versions": versions(),
        "config": plain,
    }


def _dataset(options: Mapping[str, Any]) -> tuple[PointDataset, Mapping[str, Any]]:
    return build(options["dataset"]), options


def _loader(dataset: PointDataset, batch_size: int, seed: int, *, shuffle: bool, workers: int = 0) -> DataLoader:
    rank, world_size = get_rank(), get_world_size()
    sampler = EpochBatchSampler(len(dataset), batch_size, shuffle=shuffle, seed=seed, rank=rank, world_size=world_size)
    # Forked workers would hang in MinkowskiEngine.
    context = "spawn" if workers else None
    return DataLoader(
        dataset, batch_sampler=sampler, collate_fn=collate, num_workers=workers, multiprocessing_context=context
    )


def _random_state() -> dict[str, Any]:
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002  (mmengine seeds the global state)
    version, internal, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "numpy": [
            name,
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ],
        "python": [version, torch.tensor(internal, dtype=torch.int64), gauss],
    }


def _set_random_state(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal.tolist()), gauss))
