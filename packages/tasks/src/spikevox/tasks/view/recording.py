"""The spikes of a network's neurons, site by site, as layers of a page."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikevox.layers import Neuron, ReLU, SparseTensor
from spikevox.tasks.errors import ViewError
from spikevox.tasks.view.scene import SpikeLayer, Values, VoxelLayer


class _Emitted(NamedTuple):
    """``content`` is (T, D, N) channels at each level of N sites, or (N,) means of a layer that emits real numbers."""

    coordinates: NDArray[np.int64]
    stride: tuple[int, int, int]
    content: NDArray[Any]
    channels: int


class Recorded(NamedTuple):
    """A cloud that a network has looked at.

    Attributes:
        points: (P, C) as its voxels were made of them, transformed; coordinates first.
        voxels: what went into the network; ``None`` where nothing was left.
        output: what the network said.
        layers: what its neurons emitted.
    """

    points: NDArray[np.floating]
    voxels: VoxelLayer | None
    output: Any
    layers: list[SpikeLayer | VoxelLayer]


def site_centres(
    coordinates: NDArray[np.integer],
    corner: Sequence[float] | NDArray[np.floating],
    voxel_size: Sequence[float] | NDArray[np.floating],
    stride: Sequence[int] = (1, 1, 1),
) -> NDArray[np.float64]:
    """(N, 3) middles in metres of sites (N, 3) on a grid.

    Args:
        coordinates: in voxels; multiples of the stride.
        corner: of the grid in metres, where voxel 0 begins.
        voxel_size: along x, y, z in metres.
        stride: voxels that a site covers along x, y, z.

    Example:
        >>> site_centres(np.array([[0, 2, 4]]), (0, 0, -1), (0.5, 0.5, 0.5), (2, 2, 2)).tolist()
        [[0.5, 1.5, 1.5]]
    """
    middles = coordinates + np.asarray(stride, dtype=np.float64) / 2
    return middles * np.asarray(voxel_size, dtype=np.float64) + np.asarray(corner, dtype=np.float64)


class SpikeRecorder:
    """Keeps what every neuron layer emits on the sites of one sample while the block runs.

    Args:
        network: any module with neurons of ours.

    Attributes:
        dense: names of neuron layers whose spikes lie on no sites, such as those of two-dimensional parts.

    Example:
        >>> from spikevox.layers import ILIF
        >>> network = nn.Sequential(ILIF(levels=2))
        >>> x = SparseTensor(torch.tensor([[0.0, 0.7, 9.0]]), torch.zeros(1, 4, dtype=torch.int32))
        >>> with SpikeRecorder(network) as recorder:
        ...     _ = network(x)
        >>> (layer,) = recorder.layers((0, 0, 0), (1, 1, 1))
        >>> layer.counts.tolist(), layer.channels
        ([[[2], [1]]], 3)
    """

    def __init__(self, network: nn.Module) -> None:
        self._neurons = {name: module for name, module in network.named_modules() if isinstance(module, Neuron)}
        self._handles: list[Any] = []
        self._emitted: list[tuple[str, _Emitted]] = []
        self.dense: tuple[str, ...] = ()

    def __enter__(self) -> "SpikeRecorder":
        self._emitted, self.dense = [], ()
        for name, module in self._neurons.items():
            self._handles.append(
                module.register_forward_hook(lambda m, _inputs, output, n=name: self._keep(n or "neuron", m, output))
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _keep(self, name: str, neuron: Neuron, output: Any) -> None:
        if not isinstance(output, SparseTensor):
            self.dense = (*self.dense, name)
            return
        if output.batch_size != 1:
            raise ViewError(f"{name} ran on {output.batch_size} samples: record one at a time.")
        features: Tensor = output.features.detach()
        steps = features if output.time_steps is not None else features[None]
        # Counted here: the features of all layers together may be larger than the network.
        if isinstance(neuron, ReLU):
            content = steps.float().mean(dim=(0, 2)).cpu().numpy()
        else:
            levels = range(1, neuron.levels + 1)
            content = torch.stack([(steps >= level).sum(dim=2) for level in levels], dim=1).int().cpu().numpy()
        coordinates = output.coordinates[:, 1:].cpu().numpy().astype(np.int64)
        emitted = _Emitted(coordinates, output.sites.tensor_stride, content, steps.shape[2])
        times = sum(known.partition(" (call ")[0] == name for known, _ in self._emitted)
        self._emitted.append((f"{name} (call {times + 1})" if times else name, emitted))

    def layers(
        self, corner: Sequence[float] | NDArray[np.floating], voxel_size: Sequence[float] | NDArray[np.floating]
    ) -> list[SpikeLayer | VoxelLayer]:
        """A layer of the page for each layer of neurons that has sites, in the order in which they fired.

        A layer of ReLU, which emits real numbers, becomes voxels with their mean.

        Args:
            corner: of the grid in metres, where voxel 0 begins.
            voxel_size: along x, y, z in metres.
        """
        return [_layer(name, kept, corner, voxel_size) for name, kept in self._emitted if len(kept.coordinates)]


def _layer(name: str, kept: _Emitted, corner: Any, voxel_size: Any) -> SpikeLayer | VoxelLayer:
    centres = site_centres(kept.coordinates, corner, voxel_size, kept.stride)
    size = [stride * edge for stride, edge in zip(kept.stride, voxel_size, strict=True)]
    if kept.content.ndim == 1:
        return VoxelLayer(name, centres, size, {"mean over channels": Values(kept.content)}, shown=False)
    return SpikeLayer(name, centres, size, kept.content, kept.channels)


def record_network(
    network: nn.Module, pipeline: Any, points: NDArray[np.floating], run: Callable[[Any], Any], *, source: str
) -> Recorded:
    """Shows a network one cloud, and keeps its spikes.

    Args:
        network: whose neurons are looked at.
        pipeline: the :class:`~spikevox.tasks.datasets.PointPipeline` that makes its voxels.
        points: (P, columns of the pipeline).
        run: takes the points through the network, once.
        source: what to call the cloud in messages.
    """
    generator = np.random.default_rng(0)
    moved = points
    for transform in pipeline.transforms:
        moved = transform(moved, pipeline.columns, generator)
    voxels, grid = pipeline.voxelize(moved, generator, source=source), pipeline.grid
    with SpikeRecorder(network) as recorder:
        output = run(points)
    xyz = np.asarray(moved)[:, :3]
    inside = grid.inside(xyz)
    corner = grid.corner(xyz if inside is None else xyz[inside])
    shown = None
    if len(voxels):
        centres = site_centres(voxels.coordinates, corner, grid.voxel_size)
        columns = {name: Values(voxels.features[:, place]) for place, name in enumerate(voxels.feature_names)}
        shown = VoxelLayer("voxels", centres, grid.voxel_size, columns, shown=False)
    return Recorded(moved, shown, output, recorder.layers(corner, grid.voxel_size))
