"""Sparse convolution on MinkowskiEngine's CPU code: the only file that imports it.

MinkowskiEngine 0.5.4 is right about convolution and wrong about much else (pooling order, broadcasting, empty
tensors, bad indices), so only its convolutions are used, and only on checked, sorted, non-empty sites.
"""

import collections
import collections.abc
import importlib
import importlib.util
import os
import sys
import warnings
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikevox.layers.backends.geometry import KernelGeometry, Triple, default_padding
from spikevox.layers.backends.site_table import Box
from spikevox.layers.backends.torch_ops import TorchEngine
from spikevox.layers.errors import BackendError

INSTALL_COMMAND = "tools/install_minkowski.sh"
_MOVED = ("Sequence", "Mapping", "MutableMapping", "Iterable", "Callable")


def available() -> bool:
    """True where MinkowskiEngine is installed; it is not imported."""
    return "MinkowskiEngine" in sys.modules or importlib.util.find_spec("MinkowskiEngine") is not None


@cache
def load() -> ModuleType:
    """Imports MinkowskiEngine.

    Raises:
        BackendError: it is not installed or does not import, with the command that installs it.
    """
    # It imports names from `collections` that Python 3.10 moved; they are put back for the import alone.
    missing = [name for name in _MOVED if not hasattr(collections, name)]
    for name in missing:
        setattr(collections, name, getattr(collections.abc, name))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module("MinkowskiEngine")
    except ImportError as error:
        raise BackendError(
            f"MinkowskiEngine cannot be imported ({error}). Install it with {INSTALL_COMMAND}, or use the backend "
            "'torch_ops', which needs no compiler."
        ) from error
    finally:
        for name in missing:
            delattr(collections, name)
    _register_fork_guard()
    return module


_forked = False


def _register_fork_guard() -> None:
    def mark() -> None:
        global _forked
        _forked = True

    os.register_at_fork(after_in_child=mark)


def _refuse_forked_worker() -> None:
    # OpenMP's threads do not survive a fork: MinkowskiEngine would wait for them for ever.
    if _forked and torch.get_num_threads() > 1:
        raise BackendError(
            "MinkowskiEngine hangs in a forked process with more than one thread. Start workers with "
            "multiprocessing_context='spawn', use num_workers=0, or call torch.set_num_threads(1) in the worker."
        )


class _Sites(NamedTuple):
    coordinates: Tensor
    key: Any
    tensor_stride: Triple


class _Map(NamedTuple):
    inputs: _Sites
    outputs: _Sites
    geometry: KernelGeometry
    generator: Any


class MinkowskiEngineAdapter:
    """Kernel maps and convolutions of one MinkowskiEngine coordinate manager.

    Args:
        manager: an existing ``MinkowskiEngine.CoordinateManager`` to share; a new one by default.
    """

    name = "minkowski"

    def __init__(self, manager: Any = None) -> None:
        self.module = load()
        # A manager sets the number of OpenMP threads of the whole process: keep torch's.
        threads = torch.get_num_threads()
        self.manager = self.module.CoordinateManager(D=3, num_threads=threads) if manager is None else manager
        self._shifted: dict[tuple[int, Triple], Any] = {}
        self._empty = TorchEngine()
        self._count = 0

    def insert(self, coordinates: Tensor, tensor_stride: Triple, box: Box | None = None) -> _Sites:
        """Takes in unique sites (N, 4) int32; rows keep their order."""
        if len(coordinates) == 0:
            return _Sites(coordinates, None, tensor_stride)
        return _Sites(coordinates, self._new_key(coordinates, tensor_stride), tensor_stride)

    def adopt(self, key: Any) -> _Sites:
        """The handle of sites that the manager holds already."""
        coordinates = self.manager.get_coordinates(key)
        x, y, z = key.get_tensor_stride()
        return _Sites(coordinates, key, (x, y, z))

    def stride(self, sites: _Sites, stride: Triple) -> _Sites:
        """MinkowskiEngine's own strided sites, ``floor(coordinate / stride)``, in its row order."""
        return self.adopt(self.manager.stride(sites.key, list(stride)))

    def _new_key(self, coordinates: Tensor, tensor_stride: Triple) -> Any:
        _refuse_forked_worker()
        self._count += 1
        key, _ = self.manager.insert_and_map(coordinates.contiguous(), list(tensor_stride), f"spikevox-{self._count}")
        if self.manager.size(key) != len(coordinates):
            raise BackendError(f"{len(coordinates) - self.manager.size(key)} sites coincide; sites must be unique.")
        return key

    def kernel_map(self, inputs: _Sites, outputs: _Sites, geometry: KernelGeometry) -> Any:
        """Matches the sites of two sets under a kernel geometry."""
        if inputs.key is None or outputs.key is None or geometry.volume == 1:
            # A convolution on an empty tensor kills the process, and one with a single weight is a plain product.
            return self._empty.kernel_map(
                self._empty.insert(inputs.coordinates, inputs.tensor_stride),
                self._empty.insert(outputs.coordinates, outputs.tensor_stride),
                geometry,
            )
        generator = self.module.KernelGenerator(
            kernel_size=list(geometry.kernel_size),
            stride=list(geometry.stride),
            dilation=list(geometry.dilation),
            dimension=3,
        )
        return _Map(inputs, self._shift(outputs, inputs.tensor_stride, geometry), geometry, generator)

    def _shift(self, outputs: _Sites, tensor_stride: Triple, geometry: KernelGeometry) -> _Sites:
        """MinkowskiEngine's kernels have the default padding; any other is a shift of the output sites."""
        default = default_padding(geometry.kernel_size, geometry.dilation)
        x, y, z = ((d - p) * s for d, p, s in zip(default, geometry.padding, tensor_stride, strict=True))
        if (x, y, z) == (0, 0, 0):
            return outputs
        name = (id(outputs.key), (x, y, z))
        if name not in self._shifted:
            moved = outputs.coordinates + outputs.coordinates.new_tensor([0, x, y, z])
            # The key kept beside it keeps its id from being given to another.
            self._shifted[name] = (outputs.key, self._new_key(moved, outputs.tensor_stride))
        return outputs._replace(key=self._shifted[name][1])

    def convolve(self, features: Tensor, weight: Tensor, kernel_map: Any, *, transposed: bool = False) -> Tensor:
        """Features (N_out, C_out) from features (N_in, C_in) and weight (K, C_in, C_out)."""
        if not isinstance(kernel_map, _Map):
            return self._empty.convolve(features, weight, kernel_map, transposed=transposed)
        _refuse_forked_worker()
        # Its files are modules of their own; importing one under the package would hide the class of that name.
        functions = sys.modules[self.module.MinkowskiConvolution.__module__]
        if transposed:
            apply = functions.MinkowskiConvolutionTransposeFunction.apply
            source, target = kernel_map.outputs, kernel_map.inputs
        else:
            apply = functions.MinkowskiConvolutionFunction.apply
            source, target = kernel_map.inputs, kernel_map.outputs
        mode = functions.ConvolutionMode.DEFAULT
        return apply(features, weight, kernel_map.generator, mode, source.key, target.key, self.manager)

    def pairs(self, kernel_map: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Plain int64 arrays (offset, in_row, out_row), one entry a match, ordered by offset."""
        if not isinstance(kernel_map, _Map):
            return self._empty.pairs(kernel_map)
        geometry = kernel_map.geometry
        found = self.manager.kernel_map(
            kernel_map.inputs.key,
            kernel_map.outputs.key,
            list(geometry.stride),
            list(geometry.kernel_size),
            list(geometry.dilation),
        )
        entries = [(k, found[k]) for k in sorted(found)]
        offsets = [torch.full((rows.shape[1],), k, dtype=torch.int64) for k, rows in entries]
        joined = torch.cat([rows.to(torch.int64) for _, rows in entries], dim=1)
        return torch.cat(offsets), joined[0], joined[1]

    def check(self, features: Tensor) -> None:
        """Takes float32 and float64 on the CPU; anything else raises TypeError."""
        if features.device.type != "cpu" or features.dtype not in (torch.float32, torch.float64):
            raise TypeError(
                f"the backend 'minkowski' takes float32 and float64 on the CPU, got {features.dtype} on "
                f"{features.device}. Convert the features, or use the backend 'torch_ops'."
            )

    def tensor(self, features: Tensor, sites: _Sites) -> Any:
        """A ``MinkowskiEngine.SparseTensor`` of these features on these sites; nothing is copied."""
        return self.module.SparseTensor(features, coordinate_map_key=sites.key, coordinate_manager=self.manager)


def is_minkowski_tensor(x: Any) -> bool:
    """True for a ``MinkowskiEngine.SparseTensor``; never imports MinkowskiEngine."""
    module = sys.modules.get("MinkowskiEngine")
    kind = getattr(module, "SparseTensor", None)
    return kind is not None and isinstance(x, kind)


def same_sites(x: Any, features: Tensor) -> Any:
    """Other features on the sites of a MinkowskiEngine tensor: the same manager and key."""
    return load().SparseTensor(
        features, coordinate_map_key=x.coordinate_map_key, coordinate_manager=x.coordinate_manager
    )
