"""Sparse tensor: features on the active sites of a batch."""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from spikevox.layers.backends import minkowski, resolve_backend
from spikevox.layers.backends.geometry import triple
from spikevox.layers.backends.site_table import KeyPacking, bounding_box, keys_out_of_order
from spikevox.layers.coordinates import AdoptedEngine, CoordinateMaps, Sites
from spikevox.layers.errors import SparseTensorError
from spikevox.layers.row_sum import row_sums
from spikevox.layers.tensor_checks import check_coordinates, check_features, check_range, check_samples

Duplicates = Literal["error", "sum", "mean", "max", "first"]
AnyTensor = TypeVar("AnyTensor")


class SparseTensor:
    """Features on the active sites of a batch of voxel grids.

    Rows are kept in lexicographic order of (sample, x, y, z), whatever the order they came in;
    ``input_rows`` maps back.

    Args:
        features: (N, C) floating, or (T, N, C) with ``time_steps=T``.
        coordinates: (N, 4) whole numbers: sample, x, y, z.
        batch_size: B; samples without sites count. By default the largest index + 1.
        tensor_stride: distance of neighbouring sites, one number or (x, y, z).
        time_steps: T, where the features have a time axis in front.
        backend: ``"minkowski"``, ``"torch_ops"`` or ``"auto"``; see :mod:`spikevox.layers.backends`.
        on_duplicate: what becomes of rows with equal coordinates.
        batch_column: column of the sample index, 0 or -1.

    Attributes:
        features: as above, in the order of the sites.
        sites: the set of sites; tensors that share it can be added.
        time_steps: T or ``None``.
        input_rows: (rows that came in,) int64: the row of the tensor that each became.

    Raises:
        SparseTensorError: shapes, sample indices, strides or duplicates that do not fit, with their rows.
        CoordinateRangeError: coordinates that cannot be addressed.
        TypeError: a type that the backend cannot take.

    Example:
        >>> x = SparseTensor(torch.ones(2, 8), torch.tensor([[0, 5, 5, 5], [0, 1, 2, 3]]), batch_size=1)
        >>> x.coordinates.tolist()
        [[0, 1, 2, 3], [0, 5, 5, 5]]
        >>> x.input_rows.tolist()
        [1, 0]
    """

    features: Tensor
    sites: Sites
    time_steps: int | None
    input_rows: Tensor

    def __init__(
        self,
        features: Tensor,
        coordinates: Tensor,
        *,
        batch_size: int | None = None,
        tensor_stride: int | Sequence[int] = 1,
        time_steps: int | None = None,
        backend: str | None = None,
        on_duplicate: Duplicates = "error",
        batch_column: int = 0,
    ) -> None:
        stride = triple(tensor_stride, "tensor_stride")
        check_features(features, time_steps)
        coordinates = check_coordinates(coordinates, features, batch_column)
        box = bounding_box(coordinates)
        samples = check_samples(coordinates, box, batch_size)
        check_range(coordinates, box, stride)
        maps = CoordinateMaps(samples, resolve_backend(backend, features.device.type))
        maps.engine.check(features)
        packing = KeyPacking(box)
        keys = keys_out_of_order(coordinates, packing)
        if keys is None:
            rows = torch.arange(len(coordinates), device=coordinates.device)
        else:
            features, keys, rows = _sort_rows(features, keys, on_duplicate)
            coordinates = packing.unpack(keys)
        self.features = features
        # A copy: whoever gave the coordinates may change theirs.
        self.sites = maps.insert(coordinates.to(torch.int32, copy=True), stride, box)
        self._maps = maps
        self.time_steps = time_steps
        self.input_rows = rows

    @classmethod
    def on_sites(
        cls, features: Tensor, sites: Sites, *, time_steps: int | None = None, input_rows: Tensor | None = None
    ) -> "SparseTensor":
        """A tensor on sites that are known already; nothing is checked."""
        result = cls.__new__(cls)
        result.features = features
        result.sites = sites
        result._maps = sites.maps
        result.time_steps = time_steps
        result.input_rows = torch.arange(len(sites), device=features.device) if input_rows is None else input_rows
        return result

    @classmethod
    def from_minkowski(cls, x: Any) -> "SparseTensor":
        """Takes over a ``MinkowskiEngine.SparseTensor``: its manager, key, row order and features, no copies."""
        maps = getattr(x.coordinate_manager, "_spikevox_maps", None)
        if maps is None:
            samples = int(x.C[:, 0].max()) + 1 if len(x.F) else 1
            maps = CoordinateMaps(samples, AdoptedEngine(x.coordinate_manager))
            x.coordinate_manager._spikevox_maps = maps
        return cls.on_sites(x.F, maps.adopt(x.coordinate_map_key))

    def to_minkowski(self) -> Any:
        """The same sites and features as a ``MinkowskiEngine.SparseTensor``; they share manager and key.

        Raises:
            SparseTensorError: another backend, a time axis, or no sites.
        """
        engine = self.maps.engine
        if not isinstance(engine, minkowski.MinkowskiEngineAdapter) or self.time_steps is not None or not len(self):
            raise SparseTensorError(
                "only a tensor on the backend 'minkowski', with sites and without a time axis, can become a "
                f"MinkowskiEngine tensor; this is {self!r}. Take one step with x.step(t)."
            )
        return engine.tensor(self.features, self.sites.handle)

    @property
    def coordinates(self) -> Tensor:
        """(N, 4) int32: sample, x, y, z."""
        return self.sites.coordinates

    @property
    def tensor_stride(self) -> tuple[int, int, int]:
        """Distance of neighbouring sites along x, y, z."""
        return self.sites.tensor_stride

    @property
    def maps(self) -> CoordinateMaps:
        """The sites at every stride and the kernel maps between them."""
        return self._maps

    @property
    def batch_size(self) -> int:
        """B, empty samples included."""
        return self.maps.batch_size

    @property
    def batch_index(self) -> Tensor:
        """(N,) int64, the sample of each row."""
        return self.sites.batch_index

    @property
    def backend(self) -> str:
        """Name of the engine that computes this tensor's convolutions."""
        return self.maps.engine.name

    @property
    def empty_samples(self) -> Tensor:
        """(B,) bool, true where a sample has no site."""
        return self.sites.sample_sizes == 0

    def __len__(self) -> int:
        return len(self.sites)

    def replace(self, features: Tensor) -> "SparseTensor":
        """The same sites with other features."""
        return SparseTensor.on_sites(features, self.sites, time_steps=self.time_steps, input_rows=self.input_rows)

    def moved(self, features: Tensor, sites: Sites) -> "SparseTensor":
        """Features on other sites of the same input, or on these."""
        if sites is self.sites:
            return self.replace(features)
        return SparseTensor.on_sites(features, sites, time_steps=self.time_steps)

    def step(self, index: int) -> "SparseTensor":
        """One time step of a tensor with a time axis.

        Raises:
            SparseTensorError: the tensor has no time axis.
        """
        if self.time_steps is None:
            raise SparseTensorError("step(t) needs a tensor made with time_steps=T.")
        return SparseTensor.on_sites(self.features[index], self.sites, input_rows=self.input_rows)

    def features_in_input_order(self) -> Tensor:
        """Features (..., rows that came in, C) in the order in which the rows came in."""
        return self.features[..., self.input_rows, :]

    def dense(self, *, lower: Sequence[int] | None = None, shape: Sequence[int] | None = None) -> Tensor:
        """A dense (B, C, X, Y, Z) tensor, or (T, B, C, X, Y, Z), zero where no site is.

        Args:
            lower: smallest site index along x, y, z, by default that of the sites.
            shape: number of sites along x, y, z, by default what the sites need.

        Raises:
            SparseTensorError: sites outside ``lower`` and ``shape``.
        """
        steps = torch.div(
            self.coordinates[:, 1:].long(),
            torch.tensor(self.tensor_stride, device=self.features.device),
            rounding_mode="floor",
        )
        first = steps.amin(dim=0).tolist() if len(self) else [0, 0, 0]
        lower = list(first if lower is None else lower)
        moved = steps - torch.tensor(lower, device=steps.device)
        needed = (moved.amax(dim=0) + 1).tolist() if len(self) else [0, 0, 0]
        x, y, z = needed if shape is None else shape
        if len(self) and (int(moved.min()) < 0 or any(n > s for n, s in zip(needed, (x, y, z), strict=True))):
            raise SparseTensorError(f"sites leave the box of lower {lower} and shape {(x, y, z)}.")
        result = self.features.new_zeros(*self.features.shape[:-2], self.batch_size, x, y, z, self.features.shape[-1])
        result[..., self.batch_index, moved[:, 0], moved[:, 1], moved[:, 2], :] = self.features
        return result.movedim(-1, -4)

    def to(self, device: str | torch.device) -> "SparseTensor":
        """The tensor on another device; its maps are built anew there."""
        device = torch.device(device)
        if device == self.features.device:
            return self
        return SparseTensor(
            self.features.to(device),
            self.coordinates.to(device),
            batch_size=self.batch_size,
            tensor_stride=self.tensor_stride,
            time_steps=self.time_steps,
        )

    def __add__(self, other: "SparseTensor") -> "SparseTensor":
        if not isinstance(other, SparseTensor):
            return NotImplemented
        require_same_sites(self, other)
        return self.replace(self.features + other.features)

    def __repr__(self) -> str:
        time = "" if self.time_steps is None else f"time_steps={self.time_steps}, "
        return (
            f"SparseTensor({len(self)} sites, {self.features.shape[-1]} channels, {time}batch_size={self.batch_size}, "
            f"tensor_stride={self.tensor_stride}, {self.features.dtype}, {self.features.device}, "
            f"backend={self.backend!r})"
        )


def require_same_sites(*tensors: SparseTensor) -> None:
    """Raises SparseTensorError unless all tensors share their set of sites and their time axis."""
    first = tensors[0]
    for other in tensors[1:]:
        if other.sites is not first.sites or other.time_steps != first.time_steps:
            raise SparseTensorError(
                f"tensors have different sites: {first!r} and {other!r}. Rows are never matched by position; "
                "use spikevox.layers.union(a, b) to add unlike sites."
            )


def _sort_rows(features: Tensor, keys: Tensor, on_duplicate: str) -> tuple[Tensor, Tensor, Tensor]:
    """Features and keys in ascending order of unique keys, and the new row of each old one."""
    ascending, order = keys.sort(stable=True)
    if not bool((ascending[1:] == ascending[:-1]).any()):
        rows = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        return features.index_select(-2, order), ascending, rows
    unique, rows, counts = torch.unique(keys, return_inverse=True, return_counts=True)
    repeated = (counts[rows] > 1).nonzero().squeeze(1).tolist()
    if on_duplicate == "error":
        raise SparseTensorError(
            f"{len(keys) - len(unique)} of {len(keys)} rows repeat the coordinates of another (rows concerned: "
            f"{repeated[:6]}). Merge them with on_duplicate='sum', 'mean', 'max' or 'first', or in collate.",
            repeated,
        )
    return _merge_rows(features, rows, counts, order, on_duplicate), unique, rows


def _merge_rows(features: Tensor, rows: Tensor, counts: Tensor, order: Tensor, mode: str) -> Tensor:
    shape = (*features.shape[:-2], len(counts), features.shape[-1])
    if mode == "first":
        starts = counts.cumsum(0) - counts
        return features.index_select(-2, order[starts])
    if mode == "max":
        index = rows[:, None].expand(features.shape)
        return features.new_zeros(shape).scatter_reduce(-2, index, features, "amax", include_self=False)
    if mode not in ("sum", "mean"):
        raise SparseTensorError(f"on_duplicate must be 'error', 'sum', 'mean', 'max' or 'first', got {mode!r}.")
    total = row_sums(features, rows, len(counts))
    return total if mode == "sum" else total / counts[:, None]


def features_of(x: Any) -> Tensor:
    """Features of a sparse tensor, of a MinkowskiEngine tensor, or the plain tensor itself."""
    if isinstance(x, SparseTensor):
        return x.features
    if minkowski.is_minkowski_tensor(x):
        return x.F
    if isinstance(x, Tensor):
        return x
    raise TypeError(f"expected a SparseTensor, a MinkowskiEngine or a torch tensor, got {type(x).__name__}.")


def with_features(x: AnyTensor, features: Tensor) -> AnyTensor:
    """Other features on the sites of ``x``, in the type of ``x``."""
    if isinstance(x, SparseTensor):
        return x.replace(features)  # type: ignore[return-value]
    if minkowski.is_minkowski_tensor(x):
        return minkowski.same_sites(x, features)
    return features  # type: ignore[return-value]


def time_steps_of(x: Any) -> int | None:
    """T of a sparse tensor with a time axis, else ``None``."""
    return x.time_steps if isinstance(x, SparseTensor) else None


def adopt(x: Any) -> tuple[SparseTensor, bool]:
    """``x`` as a SparseTensor, and whether it was a MinkowskiEngine tensor."""
    if isinstance(x, SparseTensor):
        return x, False
    if minkowski.is_minkowski_tensor(x):
        return SparseTensor.from_minkowski(x), True
    raise TypeError(f"expected a SparseTensor or a MinkowskiEngine tensor, got {type(x).__name__}.")
