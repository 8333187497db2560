"""Where in a cloud a network spends its energy: layers with weights, site by site, for a page to look at."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import nn

from spikevox.layers import SparseTensor, reset_states
from spikevox.layers.conv import SparseConvolution
from spikevox.layers.energy import load_table
from spikevox.layers.energy.table import Arithmetic
from spikevox.layers.sparse_tensor import adopt
from spikevox.tasks.build import build
from spikevox.tasks.energy.samples import count_samples, predict_mode
from spikevox.tasks.session import check_samples, load_network, test_options
from spikevox.tasks.view import Scene, SiteEnergy, energy_scene


class SiteEnergyRecorder:
    """Prices what each input site of a layer with weights causes, while the block runs on one sample.

    A spike costs an addition for each output channel at each site that it reaches; a real value a multiplication with addition.
    Layers that have no sites, such as those of two-dimensional parts, are left out.

    Args:
        network: any module of ours.
        reads: name of each layer with weights to ``"spikes"`` or ``"reals"``.
        arithmetic: picojoules of an operation.
    """

    def __init__(self, network: nn.Module, reads: Mapping[str, str], arithmetic: Arithmetic) -> None:
        self._layers = {n: m for n, m in network.named_modules() if n in reads and isinstance(m, _KINDS)}
        self._reads = reads
        self._arithmetic = arithmetic
        self._handles: list[Any] = []
        self.found: list[SiteEnergy] = []

    def __enter__(self) -> "SiteEnergyRecorder":
        for name, module in self._layers.items():
            self._handles.append(
                module.register_forward_hook(lambda m, inputs, y, n=name: self._price(n, m, inputs[0], y))
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _price(self, name: str, layer: Any, x: Any, y: Any) -> None:
        if not isinstance(x, SparseTensor):
            return
        values = x.features.detach()
        steps = values if x.time_steps is not None else values[None]
        fan, reached = _fan_out(layer, x, y), _products(layer)
        if self._reads[name] == "spikes":
            energy = steps.double().sum(dim=(0, 2)) * fan * reached * self._arithmetic.add
        else:
            energy = fan.double() * steps.shape[0] * steps.shape[2] * reached * self._arithmetic.mac
        times = sum(known.name.partition(" (call ")[0] == name for known in self.found)
        called = f"{name} (call {times + 1})" if times else name
        coordinates = x.coordinates[:, 1:].cpu().numpy()
        self.found.append(SiteEnergy(called, coordinates, x.sites.tensor_stride, energy.cpu().numpy()))


_KINDS = (SparseConvolution, nn.Linear)


def _fan_out(layer: Any, x: SparseTensor, y: Any) -> torch.Tensor:
    """(N,) output rows that each input row reaches."""
    if not isinstance(layer, SparseConvolution):
        return torch.ones(len(x), dtype=torch.int64)
    y, maps = adopt(y)[0], x.maps
    fine, coarse = (y.sites, x.sites) if layer.transposed else (x.sites, y.sites)
    kernel_map = maps.kernel_map(fine, coarse, layer.geometry)
    _, in_rows, out_rows = maps.engine.pairs(kernel_map)
    return torch.bincount(out_rows if layer.transposed else in_rows, minlength=len(x))


def _products(layer: Any) -> int:
    """Products of an input value with the weights of one kernel offset."""
    if isinstance(layer, SparseConvolution):
        return int(layer.out_channels // layer.groups)
    return int(layer.out_features)


def site_energy_scenes(
    config: Mapping[str, Any],
    weights: str | Path,
    *,
    samples: Sequence[int] | None = None,
    most: int = 4,
    table: str | Path = "horowitz_45nm",
) -> Iterator[Scene]:
    """Scenes of samples of the test split whose sites are coloured by what they cost in each layer with weights.

    Energies are those of the form with spikes in float32, without memory; they add up to those of the report.

    Args:
        config: experiment.
        weights: of it.
        samples: numbers in the test split; by default the first.
        most: samples, where none are named.
        table: constants, see :func:`~spikevox.layers.energy.load_table`.

    Raises:
        ConfigError: no test split or sample.
        CheckpointError: weights that do not fit the config.
        EnergyError: an unknown table, or a network that does what nobody counts.
    """
    constants = load_table(table)
    dataset = build(test_options(config))
    chosen = range(min(most, len(dataset))) if samples is None else samples
    check_samples(chosen, dataset)
    network, _ = load_network(config, weights, dataset)
    grid = dataset.pipeline.grid
    # Of a grid that begins at each cloud's minimum, places are told from there.
    corner = grid.lower if grid.lower is not None and grid.origin == "absolute" else (0.0, 0.0, 0.0)
    for index in chosen:
        (counts,) = count_samples(network, dataset, [index])
        weighted = {layer.name: layer.reads for layer in counts.layers if layer.reads}
        sample = dataset.cloud(index) if hasattr(dataset, "cloud") else dataset[index]
        batch = dataset.validation_batch([sample])
        reset_states(network)
        with SiteEnergyRecorder(network.eval(), weighted, constants.arithmetic["float32"]) as recorder, torch.no_grad():
            network(*getattr(batch, "voxels", batch), mode=predict_mode(network))
        shown = {layer.name.partition(" (call ")[0] for layer in recorder.found}
        missing = [name for name in weighted if name not in shown]
        notes = [f"layers with weights, {constants.title}, without memory"]
        if missing:
            notes.append(f"not shown, as they have no sites: {', '.join(missing)}")
        source = getattr(sample, "voxels", sample).source
        yield energy_scene(source, recorder.found, corner=corner, voxel_size=grid.voxel_size, notes=notes)
