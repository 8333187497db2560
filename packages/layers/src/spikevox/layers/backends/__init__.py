"""Engines that compute kernel maps and convolutions, behind one interface.

``minkowski`` is the default on the CPU where MinkowskiEngine is installed, ``torch_ops`` everywhere else; ``"auto"`` takes
``compiled``, our own kernels, on the CPU where they were built, and the default elsewhere. The choice never changes a
result beyond rounding. It is made, in this order, by ``SparseTensor(..., backend=)``, ``with use_backend(name)``, the
environment variable ``SPIKEVOX_BACKEND``, the default.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from torch import Tensor

from spikevox.layers import native
from spikevox.layers.backends import minkowski
from spikevox.layers.backends.compiled import CompiledEngine
from spikevox.layers.backends.geometry import KernelGeometry, Triple
from spikevox.layers.backends.minkowski import MinkowskiEngineAdapter
from spikevox.layers.backends.site_table import Box
from spikevox.layers.backends.torch_ops import TorchEngine
from spikevox.layers.errors import BackendError

BACKENDS = ("minkowski", "torch_ops", "compiled")
_CPU_ONLY = ("minkowski", "compiled")


class Engine(Protocol):
    """What a backend offers; see ``torch_ops`` for the plainest one."""

    name: str

    def insert(self, coordinates: Tensor, tensor_stride: Triple, box: Box | None = None) -> Any:
        """Takes in unique sites (N, 4) int32, which ascend where a box that holds them comes along; returns a handle."""

    def kernel_map(self, inputs: Any, outputs: Any, geometry: KernelGeometry) -> Any:
        """Matches two sets of sites, given by their handles."""

    def convolve(self, features: Tensor, weight: Tensor, kernel_map: Any, *, transposed: bool = False) -> Tensor:
        """Differentiable convolution over a kernel map; ``transposed`` runs it from outputs to inputs."""

    def pairs(self, kernel_map: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Matches as int64 arrays (offset, in_row, out_row)."""

    def check(self, features: Tensor) -> None:
        """Raises TypeError for a type or device that the engine cannot take."""


_chosen: ContextVar[str | None] = ContextVar("spikevox_backend", default=None)


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Sparse tensors made inside the block use this backend.

    Args:
        name: ``"minkowski"``, ``"torch_ops"``, ``"compiled"``, or ``"auto"`` for the fastest that is there.

    Raises:
        BackendError: an unknown name.
    """
    _check_name(name)
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def resolve_backend(name: str | None, device: str) -> str:
    """The backend for tensors on a device: the one named, or the one chosen around the call.

    Raises:
        BackendError: an unknown name, or ``minkowski`` for another device than the CPU.
    """
    name = name or _chosen.get() or os.environ.get("SPIKEVOX_BACKEND") or ""
    if name:
        _check_name(name)
    if name == "auto" and device == "cpu" and native.available():
        return "compiled"
    if name in ("", "auto"):
        return "minkowski" if device == "cpu" and minkowski.available() else "torch_ops"
    if name in _CPU_ONLY and device != "cpu":
        raise BackendError(f"the backend {name!r} runs on the CPU only, not on {device!r}; use 'torch_ops' there.")
    if name == "compiled" and not native.available():
        raise BackendError(f"the backend 'compiled' is not there: {native.reason_absent()}.")
    return name


def new_engine(name: str) -> Engine:
    """A fresh engine of a resolved name."""
    engines = {"minkowski": MinkowskiEngineAdapter, "torch_ops": TorchEngine, "compiled": CompiledEngine}
    return engines[name]()


def _check_name(name: str) -> None:
    if name not in (*BACKENDS, "auto"):
        raise BackendError(f"unknown backend {name!r}; there are {', '.join(BACKENDS)} and 'auto'.")
