"""Sparse spiking layers and backbones for 3D recognition."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.layers.backends import use_backend
    from spikevox.layers.conv import SparseConv3d, SparseInverseConv3d, SubmanifoldConv3d
    from spikevox.layers.coordinates import CoordinateMaps, Sites
    from spikevox.layers.errors import BackendError, LayerError, NeuronStateError, SparseTensorError
    from spikevox.layers.joining import concatenate, union
    from spikevox.layers.linear import Linear
    from spikevox.layers.pool import AveragePool3d, GlobalMaxPool, GlobalMeanPool, GlobalSumPool, MaxPool3d
    from spikevox.layers.sparse_tensor import SparseTensor

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "backends": ("use_backend",),
        "conv": ("SparseConv3d", "SparseInverseConv3d", "SubmanifoldConv3d"),
        "coordinates": ("CoordinateMaps", "Sites"),
        "errors": ("BackendError", "LayerError", "NeuronStateError", "SparseTensorError"),
        "linear": ("Linear",),
        "pool": ("AveragePool3d", "GlobalMaxPool", "GlobalMeanPool", "GlobalSumPool", "MaxPool3d"),
        "sparse_tensor": ("SparseTensor",),
        "joining": ("concatenate", "union"),
    },
    distribution="spikevox-layers",
)
