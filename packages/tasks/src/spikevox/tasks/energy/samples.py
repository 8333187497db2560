"""Counts of a trained network on samples of its test split, each by itself."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from spikevox.layers import reset_states
from spikevox.layers.energy import (
    EnergyReport,
    OperationCounts,
    count_operations,
    energy_report,
    load_table,
    with_relu,
)
from spikevox.tasks.build import build
from spikevox.tasks.datasets.base import VoxelDataset
from spikevox.tasks.detection import SingleStageDetector, VoxelNeXt
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.session import load_network, test_options

Progress = Callable[[int, int], None]


def count_samples(
    network: nn.Module, dataset: VoxelDataset, indices: Any, progress: Progress | None = None
) -> list[OperationCounts]:
    """Counts of each sample, a batch of its own.

    Args:
        network: a Classifier, Segmenter or detector; detectors find boxes, whose suppression is left out.
        dataset: that gives its batches.
        indices: of the samples.
        progress: called with the number of samples that are done and their number.
    """
    mode = predict_mode(network)
    found = []
    for done, index in enumerate(indices):
        sample = dataset.cloud(index) if hasattr(dataset, "cloud") else dataset[index]
        batch = dataset.validation_batch([sample])
        reset_states(network)
        voxels = getattr(batch, "voxels", batch)
        found.append(count_operations(network, *voxels, call=lambda *parts: network(*parts, mode=mode)))
        if progress is not None:
            progress(done + 1, len(indices))
    return found


def predict_mode(network: nn.Module) -> str:
    """The mode in which a network does what it was trained for, up to its last layer with weights."""
    return "predict" if isinstance(network, SingleStageDetector | VoxelNeXt) else "tensor"


def spread(length: int, samples: int) -> list[int]:
    """Indices of samples spread evenly over a data set; all of it where it has no more."""
    return np.unique(np.linspace(0, length - 1, min(samples, length)).round().astype(int)).tolist()


def measure_energy(
    config: Mapping[str, Any],
    weights: str | Path,
    *,
    samples: int = 32,
    relu: str | Path | None = None,
    table: str | Path = "horowitz_45nm",
    progress: Progress | None = None,
) -> EnergyReport:
    """Energy of trained weights on samples of the test split, spread evenly over it, beside its controls.

    Args:
        config: experiment.
        weights: of it.
        samples: how many; all of the split where it has no more.
        relu: weights of the same network trained with ReLU in place of neurons. Without them the spiking network's own weights
            are run with ReLU, which tells only roughly how many activations are 0.
        table: constants, see :func:`~spikevox.layers.energy.load_table`.
        progress: called with the number of samples that are done and their number, for each network anew.

    Raises:
        ConfigError: no test split, or no samples.
        CheckpointError: weights that do not fit the config.
        EnergyError: an unknown table, or a network that does what nobody counts.
    """
    constants = load_table(table)
    dataset = build(test_options(config))
    if samples < 1 or not len(dataset):
        raise ConfigError(f"energy needs samples: {samples} were asked for, and the test split has {len(dataset)}.")
    indices = spread(len(dataset), samples)
    network, _ = load_network(config, weights, dataset)
    if relu is None:
        control, source = with_relu(network), "the same weights, not trained with ReLU"
    else:
        control, _ = load_network(_with_relu(config), relu, dataset)
        source = f"trained with ReLU, {Path(relu).name}"
    return energy_report(
        count_samples(network, dataset, indices, progress),
        relu=count_samples(control, dataset, indices, progress),
        relu_from=source,
        table=constants,
    )


def _with_relu(node: Any) -> Any:
    """The config of the same experiment whose network parts have ReLU."""
    config = dict(node)

    def changed(part: Any) -> Any:
        if not isinstance(part, Mapping):
            return part
        result = {key: changed(value) for key, value in part.items()}
        kind = part.get("type")
        if isinstance(kind, type) and issubclass(kind, _neuron_users()):
            result["neuron"] = "relu"
        return result

    config["model"] = changed(config["model"])
    return config


def _neuron_users() -> type[nn.Module]:
    from spikevox.layers.backbones import Backbone

    return Backbone
