"""Sites at each stride and the kernel maps between them: built once, shared by every layer."""

import weakref
from typing import Any

import torch
from torch import Tensor

from spikevox.encoding.errors import CoordinateRangeError
from spikevox.layers.backends import Engine, MinkowskiEngineAdapter, new_engine
from spikevox.layers.backends.compiled import CompiledEngine
from spikevox.layers.backends.geometry import KernelGeometry, Triple
from spikevox.layers.backends.site_table import Box, bounding_box
from spikevox.layers.errors import LayerError
from spikevox.layers.output_sites import dense_extent, output_steps
from spikevox.layers.row_sum import row_counts

COORDINATE_LIMIT = 2**30


class Sites:
    """One set of active sites. Two tensors have the same sites exactly where they share this object.

    Attributes:
        coordinates: (N, 4) int32: sample, x, y, z.
        tensor_stride: distance of neighbouring sites along x, y, z; coordinates are multiples of it.
        finer: sets that a strided convolution derived this one from.
    """

    def __init__(
        self,
        maps: "CoordinateMaps",
        coordinates: Tensor,
        tensor_stride: Triple,
        handle: Any,
        box: Box | None = None,
    ) -> None:
        # Maps own their sites. Tensors keep the maps: with a reference back, the kernel maps of a training step would be freed
        # only when Python next looks for cycles, steps later.
        self._maps = weakref.ref(maps)
        self.coordinates = coordinates
        self.tensor_stride = tensor_stride
        self.handle = handle
        self.finer: list[Sites] = []
        self._box = box
        self._origin: tuple[Sites, KernelGeometry, Triple | None] | None = None
        self._batch_index: Tensor | None = None
        self._sample_sizes: Tensor | None = None

    def __len__(self) -> int:
        return len(self.coordinates)

    @property
    def maps(self) -> "CoordinateMaps":
        """The maps that these sites belong to.

        Raises:
            LayerError: no tensor of theirs is left.
        """
        maps = self._maps()
        if maps is None:
            raise LayerError(
                "the last tensor of these sites is gone, and their kernel maps with it: keep a tensor, not its sites."
            )
        return maps

    @property
    def batch_index(self) -> Tensor:
        """(N,) int64, the sample of each site."""
        if self._batch_index is None:
            self._batch_index = self.coordinates[:, 0].to(torch.int64)
        return self._batch_index

    @property
    def sample_sizes(self) -> Tensor:
        """(B,) int64, the number of sites of each sample."""
        if self._sample_sizes is None:
            self._sample_sizes = row_counts(self.batch_index, self.maps.batch_size)
        return self._sample_sizes

    @property
    def box(self) -> Box:
        """A box that holds the sites, known to the host."""
        if self._box is None:
            self._box = bounding_box(self.coordinates)
        return self._box

    @property
    def extent(self) -> Triple:
        """Sites along x, y, z of the dense grid: the input's from zero to its farthest site, then what convolutions make of it.

        Raises:
            LayerError: an input with negative coordinates, which lie on no grid that starts at zero.
        """
        if self._origin is not None:
            parent, geometry, extent = self._origin
            return dense_extent(geometry, parent.extent if extent is None else extent)
        lower, upper = self.box
        if min(lower[1:]) < 0:
            raise LayerError(
                f"extent='input' counts sites from zero on, and these begin at {tuple(lower[1:])}: voxelise with "
                "origin='minimum', or with a range that begins where the points do."
            )
        x, y, z = (u // s + 1 for u, s in zip(upper[1:], self.tensor_stride, strict=True))
        return x, y, z

    def derive_from(self, parent: "Sites", geometry: KernelGeometry, extent: Triple | None) -> None:
        """Notes the convolution, and the bounds of its input, that led here first."""
        ancestor: Sites | None = parent
        while ancestor is not None and ancestor is not self:
            ancestor = None if ancestor._origin is None else ancestor._origin[0]
        # A convolution of stride 1 can lead back to sites that it came from.
        if self._origin is None and ancestor is None:
            self._origin = (parent, geometry, extent)

    def finer_by(self, stride: Triple) -> "Sites":
        """The set ``stride`` times finer that this one was derived from.

        Raises:
            LayerError: none is known, or several are.
        """
        wanted = tuple(t // s for t, s in zip(self.tensor_stride, stride, strict=True))
        found = [sites for sites in self.finer if sites.tensor_stride == wanted]
        if len(found) != 1:
            raise LayerError(
                f"{'no' if not found else len(found)} sets of sites at tensor stride {wanted} lead to these at "
                f"{self.tensor_stride}: say which sites to return to with like=."
            )
        return found[0]


class CoordinateMaps:
    """All sets of sites that belong to one input, and the kernel maps between them.

    Maps are cached under the identity of their sets of sites, so that none can be met with other coordinates.

    Args:
        batch_size: B, empty samples included.
        engine: an engine, or the name of a backend.
    """

    def __init__(self, batch_size: int, engine: Engine | str) -> None:
        self.batch_size = batch_size
        self.engine: Engine = new_engine(engine) if isinstance(engine, str) else engine
        self._sites: dict[Triple, list[Sites]] = {}
        self._derived: dict[tuple[int, Any], Sites] = {}
        self._kernel_maps: dict[tuple[int, int, KernelGeometry], Any] = {}

    def insert(self, coordinates: Tensor, tensor_stride: Triple, box: Box | None = None) -> Sites:
        """Takes in unique, sorted sites; an equal set that is there already is returned instead.

        Args:
            coordinates: (N, 4) int32.
            tensor_stride: of the sites.
            box: a box that holds them, where the caller knows one.
        """
        known = self._sites.setdefault(tensor_stride, [])
        for sites in known:
            if torch.equal(sites.coordinates, coordinates):
                return sites
        handle = self.engine.insert(coordinates, tensor_stride, box)
        sites = Sites(self, coordinates, tensor_stride, handle, box)
        known.append(sites)
        return sites

    def strided(
        self, sites: Sites, geometry: KernelGeometry, *, mode: str = "covered", extent: Triple | None = None
    ) -> Sites:
        """Output sites of a convolution.

        Args:
            sites: the input's.
            geometry: of the convolution.
            mode: ``"covered"``: every site that a dense convolution would touch; ``"stride"``:
                ``floor(coordinate / stride)``.
            extent: number of input sites along x, y, z; output sites that a dense convolution over
                ``[0, extent)`` would not have are left out.
        """
        name = (id(sites), (geometry, mode, extent))
        if name not in self._derived:
            result = self._derive(sites, geometry, mode, extent)
            result.derive_from(sites, geometry, extent)
            if not any(finer is sites for finer in result.finer):
                result.finer.append(sites)
            self._derived[name] = result
        return self._derived[name]

    def _derive(self, sites: Sites, geometry: KernelGeometry, mode: str, extent: Triple | None) -> Sites:
        floor = mode == "stride" or geometry.tiles
        if floor and extent is None and isinstance(self.engine, AdoptedEngine) and len(sites):
            return self._adopt(self.engine.stride(sites.handle, geometry.stride))
        x, y, z = (t * s for t, s in zip(sites.tensor_stride, geometry.stride, strict=True))
        if isinstance(self.engine, CompiledEngine):
            outputs = self.engine.strided(sites.handle, geometry, floor=floor, extent=extent)
            if outputs is not None:
                return self.insert(outputs, (x, y, z))
        scale = (1, x, y, z)
        if len(sites) == 0:
            return self.insert(sites.coordinates, (x, y, z))
        steps, box = output_steps(
            sites.coordinates, sites.box, sites.tensor_stride, geometry, floor=floor, extent=extent
        )
        lower, upper = (tuple(v * s for v, s in zip(corner, scale, strict=True)) for corner in box)
        coordinates = torch.stack([c * s for c, s in zip(steps.unbind(1), scale, strict=True)], dim=1)
        limit = 2 * COORDINATE_LIMIT - 1
        # The box may reach beyond its sites: only where it is too large are they asked.
        if max(map(abs, (*lower[1:], *upper[1:]))) > limit and bool((coordinates[:, 1:].abs() > limit).any()):
            raise CoordinateRangeError(f"output sites of {geometry} leave the range of int32 coordinates.")
        return self.insert(coordinates.to(torch.int32), (x, y, z), Box(lower, upper))

    def kernel_map(self, inputs: Sites, outputs: Sites, geometry: KernelGeometry) -> Any:
        """The engine's kernel map between two sets of sites, built on first use."""
        name = (id(inputs), id(outputs), geometry)
        if name not in self._kernel_maps:
            self._kernel_maps[name] = self.engine.kernel_map(inputs.handle, outputs.handle, geometry)
        return self._kernel_maps[name]

    def pairs(self, inputs: Sites, outputs: Sites, geometry: KernelGeometry) -> tuple[Tensor, Tensor, Tensor]:
        """Matches as plain int64 arrays (offset, in_row, out_row), ordered by offset."""
        return self.engine.pairs(self.kernel_map(inputs, outputs, geometry))

    def adopt(self, key: Any) -> Sites:
        """Sites that a MinkowskiEngine coordinate manager holds under ``key``, in its row order."""
        if not isinstance(self.engine, AdoptedEngine):
            raise LayerError("only maps over a shared MinkowskiEngine manager can adopt its keys.")
        return self._adopt(self.engine.adopt(key))

    def _adopt(self, handle: Any) -> Sites:
        known = self._sites.setdefault(handle.tensor_stride, [])
        for sites in known:
            if sites.handle.key == handle.key:
                return sites
        sites = Sites(self, handle.coordinates, handle.tensor_stride, handle)
        known.append(sites)
        return sites


class AdoptedEngine(MinkowskiEngineAdapter):
    """The engine over a manager that belongs to somebody else's MinkowskiEngine network."""
