"""Sparse convolutions: submanifold, strided, inverse.

Output site ``o`` takes input site ``i = o * stride - padding + j * dilation``, ``j = 0 .. k-1`` (spike sparse
convolution, SSC, when the input is spikes). Weights are (K, C_in / groups, C_out), first spatial axis fastest.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spikevox.layers.backends.geometry import KernelGeometry, Triple, default_padding, triple
from spikevox.layers.coordinates import Sites
from spikevox.layers.errors import LayerError
from spikevox.layers.sparse_tensor import SparseTensor, adopt

Whole = int | Sequence[int]
Extent = Sequence[int] | Literal["input"] | None


def checked_extent(extent: Extent, name: str) -> Triple | Literal["input"] | None:
    """The extent of a grid as three numbers, ``"input"`` or ``None``.

    Raises:
        LayerError: it is none of these.
    """
    if extent is None or extent == "input":
        return extent
    if isinstance(extent, str):
        raise LayerError(f"{name} must be three whole numbers (x, y, z), 'input' or None, got {extent!r}.")
    return triple(extent, name)


class SparseConvolution(nn.Module):
    """Base of the three convolutions: their weights, and the call of the engine.

    Attributes:
        transposed: the kernel map is gone through from its outputs to its inputs.
    """

    transposed = False

    def __init__(self, in_channels: int, out_channels: int, geometry: KernelGeometry, groups: int, bias: bool) -> None:
        super().__init__()
        if min(in_channels, out_channels, groups) < 1 or in_channels % groups or out_channels % groups:
            raise LayerError(
                f"in_channels ({in_channels}) and out_channels ({out_channels}) must be positive multiples of "
                f"groups ({groups})."
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.geometry = geometry
        self.groups = groups
        self.weight = nn.Parameter(torch.empty(geometry.volume, in_channels // groups, out_channels))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the weights as MinkowskiEngine does: uniform within ``1 / sqrt(K * C)``."""
        fan = self.in_channels if not isinstance(self, SparseInverseConv3d) else self.out_channels
        bound = 1 / math.sqrt(fan * self.geometry.volume)
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def output_sites(self, x: SparseTensor) -> Sites:
        """Where the results of ``x`` are."""
        raise NotImplementedError

    def kernel_map(self, x: SparseTensor, outputs: Sites) -> Any:
        """The backend's matches of the sites of ``x`` and the output sites.

        Raises:
            LayerError: ``x`` has other channels than the layer takes.
        """
        if x.features.shape[-1] != self.in_channels:
            raise LayerError(f"{self} expects {self.in_channels} channels, got {x!r}.")
        return x.maps.kernel_map(*((outputs, x.sites) if self.transposed else (x.sites, outputs)), self.geometry)

    def _convolve(self, x: SparseTensor, outputs: Sites) -> SparseTensor:
        maps, transposed = x.maps, self.transposed
        kernel_map = self.kernel_map(x, outputs)

        def step(features: Tensor) -> Tensor:
            maps.engine.check(features)
            if self.groups == 1:
                return maps.engine.convolve(features, self.weight, kernel_map, transposed=transposed)
            parts = zip(features.chunk(self.groups, 1), self.weight.chunk(self.groups, 2), strict=True)
            return torch.cat(
                [
                    maps.engine.convolve(f.contiguous(), w.contiguous(), kernel_map, transposed=transposed)
                    for f, w in parts
                ],
                dim=1,
            )

        features = step(x.features) if x.time_steps is None else torch.stack([step(f) for f in x.features])
        if self.bias is not None:
            features = features + self.bias
        return x.moved(features, outputs)

    def extra_repr(self) -> str:
        """Channels and geometry, as torch prints its own layers."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.geometry.kernel_size}"
        if self.geometry.stride != (1, 1, 1):
            text += f", stride={self.geometry.stride}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text + f", bias={self.bias is not None}"


def _checked(x: Any, call: Any) -> Any:
    """Runs a layer on a SparseTensor or a MinkowskiEngine tensor and returns the same kind."""
    tensor, foreign = adopt(x)
    result = call(tensor)
    return result.to_minkowski() if foreign else result


class SubmanifoldConv3d(SparseConvolution):
    """Convolution evaluated only at the input's own sites, so that they do not spread.

    Args:
        in_channels: C of the input.
        out_channels: C of the output.
        kernel_size: one number or (x, y, z). An odd kernel is centred; an even one reaches forward, from the site
            itself to ``k - 1`` steps beyond.
        dilation: distance of the kernel's taps, in sites.
        groups: channels are split into this many independent convolutions.
        bias: adds a bias.

    Weights start as truncated normal with standard deviation 0.02 (E-3DSNN's code).

    Example:
        >>> x = SparseTensor(torch.ones(2, 3), torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0]]), batch_size=1)
        >>> SubmanifoldConv3d(3, 16)(x)
        SparseTensor(2 sites, 16 channels, batch_size=1, ...)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: Whole = 3,
        dilation: Whole = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        kernel, spread = triple(kernel_size, "kernel_size"), triple(dilation, "dilation")
        geometry = KernelGeometry(kernel, (1, 1, 1), default_padding(kernel, spread), spread)
        super().__init__(in_channels, out_channels, geometry, groups, bias)

    def reset_parameters(self) -> None:
        """Draws the weights anew."""
        nn.init.trunc_normal_(self.weight, std=0.02)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def output_sites(self, x: SparseTensor) -> Sites:
        """The sites of ``x``."""
        return x.sites

    def forward(self, x: Any) -> Any:
        """Features (N, out_channels) on the sites of ``x``."""
        return _checked(x, lambda tensor: self._convolve(tensor, tensor.sites))


class SparseConv3d(SparseConvolution):
    """Convolution with its own output sites, used to down-sample.

    Args:
        in_channels: C of the input.
        out_channels: C of the output.
        kernel_size: one number or (x, y, z).
        stride: one number or (x, y, z); the output's tensor stride is the input's times this.
        padding: by default ``dilation * (k // 2)`` for an odd kernel and 0 for an even one.
        dilation: distance of the kernel's taps, in sites.
        groups: channels are split into this many independent convolutions.
        bias: adds a bias.
        sites: ``"covered"``: every site that a dense convolution would touch; ``"stride"``:
            ``floor(coordinate / stride)``, as MinkowskiEngine does.
        extent: the input's number of sites along x, y, z; output sites that a dense convolution over
            ``[0, extent)`` would not have are left out. By default the grid has no bounds. ``"input"``: the grid that
            the batch spans from zero on, as networks of spconv are often called; what a sample gets then depends on
            the others of its batch. It is there for weights that were trained so, see :mod:`spikevox.layers.convert`.

    Weights start uniform within ``1 / sqrt(K * in_channels)`` (MinkowskiEngine's default).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: Whole,
        stride: Whole = 1,
        padding: Whole | None = None,
        dilation: Whole = 1,
        groups: int = 1,
        bias: bool = False,
        sites: Literal["covered", "stride"] = "covered",
        extent: Extent = None,
    ) -> None:
        kernel, spread = triple(kernel_size, "kernel_size"), triple(dilation, "dilation")
        border = default_padding(kernel, spread) if padding is None else triple(padding, "padding", least=0)
        if sites not in ("covered", "stride"):
            raise LayerError(f"sites must be 'covered' or 'stride', got {sites!r}.")
        geometry = KernelGeometry(kernel, triple(stride, "stride"), border, spread)
        super().__init__(in_channels, out_channels, geometry, groups, bias)
        self.sites = sites
        self.extent = checked_extent(extent, "extent")

    def output_sites(self, x: SparseTensor) -> Sites:
        """Sites at the tensor stride of ``x`` times the layer's."""
        extent = x.sites.extent if self.extent == "input" else self.extent
        return x.maps.strided(x.sites, self.geometry, mode=self.sites, extent=extent)

    def forward(self, x: Any) -> Any:
        """Features (N_out, out_channels) on the output sites."""
        return _checked(x, lambda tensor: self._convolve(tensor, self.output_sites(tensor)))


class SparseInverseConv3d(SparseConvolution):
    """Transposed convolution back to the sites that a strided convolution came from.

    Args:
        in_channels: C of the input.
        out_channels: C of the output.
        kernel_size: one number or (x, y, z), as in the partner.
        stride: as in the partner.
        padding: as in the partner; same default.
        dilation: as in the partner.
        groups: channels are split into this many independent convolutions.
        bias: adds a bias.

    Weights start uniform within ``1 / sqrt(K * out_channels)`` (MinkowskiEngine's default).
    """

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: Whole,
        stride: Whole,
        padding: Whole | None = None,
        dilation: Whole = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        kernel, spread = triple(kernel_size, "kernel_size"), triple(dilation, "dilation")
        border = default_padding(kernel, spread) if padding is None else triple(padding, "padding", least=0)
        geometry = KernelGeometry(kernel, triple(stride, "stride"), border, spread)
        super().__init__(in_channels, out_channels, geometry, groups, bias)

    def forward(self, x: Any, like: Any = None) -> Any:
        """Features (N_fine, out_channels).

        Args:
            x: the coarse tensor.
            like: a tensor on the sites to return to; by default those that ``x`` was derived from.

        Raises:
            LayerError: no sites to return to are known, several are, or ``like`` does not fit.
        """
        return _checked(x, lambda tensor: self._convolve(tensor, self.output_sites(tensor, like)))

    def output_sites(self, x: SparseTensor, like: Any = None) -> Sites:
        """The finer sites that ``x`` was derived from, or those of ``like``; raises as the call does."""
        stride = self.geometry.stride
        if like is None:
            return x.sites.finer_by(stride)
        target, _ = adopt(like)
        fits = all(c == f * s for c, f, s in zip(x.tensor_stride, target.tensor_stride, stride, strict=True))
        if target.maps is not x.maps or not fits:
            raise LayerError(
                f"{self} cannot return from {x!r} to the sites of {target!r}: both must come from one input, "
                f"and tensor strides must differ by {stride}."
            )
        return target.sites
