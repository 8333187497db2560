"""The one runner of all experiments, on mmengine: defaults are code here, an experiment says only what is its own."""

import atexit
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size, is_distributed, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from torch.utils.data import DataLoader

from spikevox.tasks.build import build
from spikevox.tasks.checkpoint import load_weights, versions
from spikevox.tasks.config import to_plain
from spikevox.tasks.datasets.base import VoxelDataset
from spikevox.tasks.datasets.segmentation import SegmentationDataset
from spikevox.tasks.distillation import Distillation
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.health import FiniteCheck, HealthWatch, NeuronHealth, StateReset
from spikevox.tasks.hooks import LOGGER, ProgressBar, TrainingLog
from spikevox.tasks.sampler import EpochBatchSampler
from spikevox.tasks.segmentation.pictures import ValidationPictures
from spikevox.tasks.spike_rate import SpikeRate
from spikevox.tasks.training import CHECKPOINT, Runner, TrainLoop


def build_runner(
    config: Mapping[str, Any],
    work_dir: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    weights: str | Path | None = None,
) -> Runner:
    """The runner of an experiment.

    Args:
        config: from :func:`spikevox.tasks.config.load_config`.
        work_dir: folder for checkpoints, weights and logs.
        resume: go on from the folder's last checkpoint; without one, start anew and say so.
        overwrite: start anew in a folder that holds a training, whose results ``train()`` then removes.
        weights: to start from, of the same network, input and classes; random ones otherwise. A resume goes on from its
            checkpoint whatever this says.

    Raises:
        CheckpointError: weights that cannot be read or belong to another network, input or classes.
        ConfigError: the configuration cannot be built, or the folder holds a training and neither option is given.
    """
    if (Path(work_dir) / CHECKPOINT).is_file() and not (resume or overwrite):
        raise ConfigError(
            f"{work_dir} holds a training already: go on with `spikevox resume`, choose another --work-dir, or pass "
            "--overwrite to lose it."
        )
    _join_processes()
    seed = config["randomness"].get("seed", 0)
    train, train_options = _dataset(config["train_dataloader"])
    val = _dataset(config["val_dataloader"])[0] if "val_dataloader" in config else None
    batch_size = train_options["batch_size"]
    loop = dict(config["train_cfg"])
    metric = config["model"]["type"].metric
    custom_hooks = [dict(hook) for hook in config.get("custom_hooks", [])]
    if "distillation" in config:
        custom_hooks.append(_distillation(config, train))
    if "spike_rate" in config:
        custom_hooks.append(SpikeRate(**config["spike_rate"]))
    _check_schedule(config)
    _leave_cores(train_options.get("num_workers", 0))
    log = TrainingLog(work_dir)
    progress = ProgressBar(log)
    if not is_main_process():
        LOGGER.setLevel(logging.WARNING)
    runner = Runner(
        model=dict(config["model"]),
        work_dir=str(work_dir),
        train_dataloader=_loader(train, batch_size, seed, shuffle=True, workers=train_options.get("num_workers", 0)),
        train_cfg={"type": TrainLoop, **loop},
        val_dataloader=None if val is None else _loader(val, batch_size, seed, shuffle=False),
        val_cfg=None if val is None else {},
        val_evaluator=None if val is None else Evaluator([metric(**val.metric_options)]),
        optim_wrapper=dict(config["optim_wrapper"]),
        param_scheduler=[dict(s) for s in config.get("param_scheduler", [])],
        default_hooks={"timer": None, "logger": None, "checkpoint": None, "sampler_seed": None},
        custom_hooks=[
            *(FiniteCheck(), StateReset(), NeuronHealth(log), HealthWatch(log), log, progress),
            *_pictures(config, val, log),
            *custom_hooks,
        ],
        launcher="pytorch" if is_distributed() else "none",
        log_level=logging.WARNING,
        randomness=dict(config["randomness"]),
        resume=resume,
        experiment_name="spikevox",
    )
    runner.best, runner.validation, runner.progress, runner.score = {}, {}, progress, metric.score
    runner.facts = describe(config, train)
    if weights is not None:
        # Now, while nothing of an earlier training in the folder has been removed.
        runner.start_from(weights)
    return runner


def describe(config: Mapping[str, Any], dataset: VoxelDataset) -> dict[str, Any]:
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


def _leave_cores(workers: int) -> None:
    """Leaves a core to each process of the loader.

    Threads share out every operation evenly: one whose core a loader takes keeps the others waiting, and with two cores a
    step then takes nearly twice as long as on one thread.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = max(1, cores - workers)
    if workers and torch.get_num_threads() > threads:
        torch.set_num_threads(threads)


def _distillation(config: Mapping[str, Any], dataset: VoxelDataset) -> Distillation:
    options = dict(config["distillation"])
    teacher = build(dict(config["model"]))
    load_weights(teacher, options.pop("weights"), describe(config, dataset))
    return Distillation(teacher, **options)


def _pictures(config: Mapping[str, Any], val: VoxelDataset | None, log: TrainingLog) -> list[Hook]:
    """What draws validations of labelled points."""
    options = {"count": config["val_dataloader"]["pictures"]} if "pictures" in config.get("val_dataloader", {}) else {}
    if isinstance(val, SegmentationDataset):
        return [ValidationPictures(log, val, **options)]
    if options:
        raise ConfigError(f"val_dataloader.pictures: {type(val).__name__} has no labelled points to draw.")
    return []


def _join_processes() -> None:
    """Joins the other processes where torchrun started this one, until it exits."""
    if "RANK" not in os.environ or is_distributed():
        return
    # mmengine's own start would look for a GPU.
    torch.distributed.init_process_group("gloo")
    atexit.register(_leave_processes)


def _leave_processes() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
        # gloo's threads wake us before they let go of the tensors of the last exchange. One that does so while Python
        # is being taken down aborts the process ("terminate called without an active exception"), and nothing tells
        # when they are done.
        time.sleep(0.5)


def _dataset(options: Mapping[str, Any]) -> tuple[VoxelDataset, Mapping[str, Any]]:
    return build(options["dataset"]), options


def _loader(dataset: VoxelDataset, batch_size: int, seed: int, *, shuffle: bool, workers: int = 0) -> DataLoader:
    rank, world_size = get_rank(), get_world_size()
    sampler = EpochBatchSampler(len(dataset), batch_size, shuffle=shuffle, seed=seed, rank=rank, world_size=world_size)
    # Forked workers would hang in MinkowskiEngine.
    context = "spawn" if workers else None
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=dataset.training_batch if shuffle else dataset.validation_batch,
        num_workers=workers,
        multiprocessing_context=context,
        # A spawned worker takes seconds to start: not at every epoch.
        persistent_workers=workers > 0,
    )


def _check_schedule(config: Mapping[str, Any]) -> None:
    """Says so where the learning rate's schedule does not end with the training."""
    epochs = config["train_cfg"]["max_epochs"]
    ends = [
        scheduler["end"]
        for scheduler in config.get("param_scheduler", [])
        if "end" in scheduler and scheduler.get("by_epoch", True)
    ]
    if ends and max(ends) != epochs:
        LOGGER.warning(
            "param_scheduler ends at epoch %g, the training at epoch %d; set the name that both are computed from, where the "
            "config has one (--set epochs=%d)",
            max(ends),
            epochs,
            epochs,
        )
