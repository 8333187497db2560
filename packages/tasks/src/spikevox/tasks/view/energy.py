"""Where a network spends its energy: a scene of each layer's sites."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.errors import ViewError
from spikevox.tasks.view.recording import site_centres
from spikevox.tasks.view.scene import PointLayer, Scene, Values, VoxelLayer


class SiteEnergy(NamedTuple):
    """Energy of one layer, site by site.

    Attributes:
        name: of the layer.
        coordinates: (N, 3) of its sites, in voxels; multiples of the stride.
        stride: voxels that a site covers along x, y, z.
        energy: (N,) of each site, in picojoules.
    """

    name: str
    coordinates: NDArray[np.integer]
    stride: Sequence[int]
    energy: NDArray[np.floating]


def energy_scene(
    title: str,
    layers: Sequence[SiteEnergy],
    *,
    corner: Sequence[float] | NDArray[np.floating] = (0.0, 0.0, 0.0),
    voxel_size: Sequence[float] | NDArray[np.floating] = (1.0, 1.0, 1.0),
    xyz: NDArray[np.floating] | None = None,
    notes: Sequence[str] = (),
) -> Scene:
    """A scene whose voxels are coloured by energy, a layer of the page for each layer of the network.

    Layers without sites are left out. The layer that takes most is shown first, the others can be switched on.

    Args:
        title: of the scene.
        layers: in the order of the network.
        corner: of the grid in metres, where voxel 0 begins.
        voxel_size: along x, y, z in metres.
        xyz: (P, 3) the cloud, in metres; hidden at first.
        notes: lines below the title.

    Raises:
        ViewError: no layer with sites, or energies that are negative, not finite, or of another number than the sites.
    """
    placed = [layer for layer in layers if len(layer.coordinates)]
    if not placed:
        raise ViewError(f"{title}: no layer has sites; there is no energy to show.")
    most = max(range(len(placed)), key=lambda place: float(np.sum(placed[place].energy)))
    shown = [_layer(layer, corner, voxel_size, place == most) for place, layer in enumerate(placed)]
    cloud = [] if xyz is None else [PointLayer("points", xyz, shown=False)]
    total = sum(float(np.sum(layer.energy)) for layer in placed)
    said = f"{total / 1e6:.4g} µJ on {sum(len(layer.coordinates) for layer in placed)} sites of {len(placed)} layers"
    return Scene(title, [*shown, *cloud], [said, *notes])


def _layer(layer: SiteEnergy, corner: Any, voxel_size: Any, shown: bool) -> VoxelLayer:
    energy = Values(np.asarray(layer.energy), "pJ")
    if (energy.data < 0).any():
        raise ViewError(f"{layer.name}: an energy is at least 0, got {energy.data.min()}.")
    centres = site_centres(np.asarray(layer.coordinates), corner, voxel_size, layer.stride)
    size = [stride * edge for stride, edge in zip(layer.stride, voxel_size, strict=True)]
    return VoxelLayer(layer.name, centres, size, {"energy": energy}, shown=shown)
