"""The contract of a layer, for ours and for those that others write: ``check_layer(layer)``."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from spikevox.encoding.errors import SpikevoxError
from spikevox.layers.neurons.neuron import reset_states
from spikevox.layers.sparse_tensor import SparseTensor


class LayerContractError(SpikevoxError, AssertionError):
    """A layer breaks the contract; the message says which part and how."""


def check_layer(layer: nn.Module, *, channels: int | None = None, backend: str | None = None) -> None:
    """Checks what every layer on sparse tensors must do.

    The layer, called in training mode with a SparseTensor of ``channels`` channels, must

    - take a tensor without sites, one with a single site, and a batch with empty samples, and keep the batch size;
    - give the same result for the same sites in another order;
    - give each sample what it gets alone, in evaluation mode;
    - pass finite gradients to its input and its parameters;
    - work in float32 and float64 and keep the type;
    - work in inference mode, and after a deep copy, a pickle and a round trip of its state dict.

    Args:
        layer: maps a SparseTensor to a SparseTensor, or to (B, C) or (T, B, C).
        channels: of the input, by default the layer's ``in_channels``, ``num_features`` or ``in_features``, else 4.
        backend: of the tensors.

    Raises:
        LayerContractError: the first part of the contract that is broken.

    Example:
        >>> from spikevox.layers import SubmanifoldConv3d
        >>> check_layer(SubmanifoldConv3d(4, 8))
    """
    channels = channels or _channels(layer)
    state = copy.deepcopy(layer.state_dict())
    make = _Maker(channels, _time_steps(layer), backend)
    for name, check in _CHECKS.items():
        fresh = copy.deepcopy(layer).double().train()
        fresh.load_state_dict(state)
        reset_states(fresh)
        try:
            check(fresh, make)
        except LayerContractError as error:
            raise LayerContractError(f"{type(layer).__name__}, {name}: {error}") from None
        except Exception as error:
            raise LayerContractError(f"{type(layer).__name__}, {name}: {type(error).__name__}: {error}") from error


def _channels(layer: nn.Module) -> int:
    for name in ("in_channels", "num_features", "in_features"):
        value = getattr(layer, name, None)
        if isinstance(value, int):
            return value
    return 4


def _time_steps(layer: nn.Module) -> int | None:
    found = (getattr(module, "time_steps", None) for module in layer.modules())
    steps = [value for value in found if isinstance(value, int)]
    return steps[0] if steps else None


class _Maker:
    """Makes inputs in float64: rows of (sample, x, y, z) to a tensor with features that follow the rows."""

    def __init__(self, channels: int, time_steps: int | None, backend: str | None) -> None:
        self.channels = channels
        self.time_steps = time_steps
        self.backend = backend

    def __call__(self, rows: Tensor, batch_size: int, features: Tensor | None = None) -> SparseTensor:
        values = self.features(rows) if features is None else features
        return SparseTensor(values, rows, batch_size=batch_size, time_steps=self.time_steps, backend=self.backend)

    def features(self, rows: Tensor) -> Tensor:
        """A smooth function of the coordinates, so that it is the same whatever the order."""
        steps = torch.arange(self.time_steps or 1, dtype=torch.float64).view(-1, 1, 1)
        wave = torch.arange(1, self.channels + 1, dtype=torch.float64)
        phase = rows.double() @ torch.tensor([0.3, 0.9, 1.7, 2.3], dtype=torch.float64)
        values = 1 + 2 * torch.sin(phase[:, None] * wave + steps)
        return values if self.time_steps else values[0]

    def cloud(self, samples: tuple[int, ...] = (0, 1, 3)) -> Tensor:
        """Some rows in the given samples."""
        generator = torch.Generator().manual_seed(0)
        sites = torch.unique(torch.randint(0, 6, (40, 3), generator=generator), dim=0)
        return torch.cat([torch.cat([torch.full((len(sites), 1), s), sites], dim=1) for s in samples])


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise LayerContractError(message)


def _result(output: Any) -> tuple[Tensor, Tensor | None, int]:
    """Features, coordinates where there are any, and batch size."""
    if isinstance(output, SparseTensor):
        return output.features, output.coordinates, output.batch_size
    if isinstance(output, Tensor):
        return output, None, output.shape[-2]
    raise LayerContractError(f"the result must be a SparseTensor or a tensor, got {type(output).__name__}")


def _check_empty(layer: nn.Module, make: _Maker) -> None:
    features, coordinates, batch_size = _result(layer(make(torch.zeros(0, 4, dtype=torch.int64), 3)))
    _require(batch_size == 3, f"batch size 3 became {batch_size}")
    _require(coordinates is None or len(coordinates) == 0, "sites appeared from nothing")
    _require(bool(torch.isfinite(features).all()), "values are not finite")


def _check_single(layer: nn.Module, make: _Maker) -> None:
    features, _, batch_size = _result(layer(make(torch.tensor([[1, 2, 3, 4]]), 2)))
    _require(batch_size == 2, f"batch size 2 became {batch_size}")
    _require(bool(torch.isfinite(features).all()), "values are not finite")


def _check_order(layer: nn.Module, make: _Maker) -> None:
    rows = make.cloud()
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))
    twin = copy.deepcopy(layer)
    one, other = _result(layer(make(rows, 5))), _result(twin(make(rows[order], 5)))
    _require(one[1] is None or other[1] is None or torch.equal(one[1], other[1]), "sites depend on the order of rows")
    _require(torch.equal(one[0], other[0]), "features depend on the order of rows")


def _check_samples(layer: nn.Module, make: _Maker) -> None:
    layer.eval()
    whole, coordinates, _ = _result(layer(make(make.cloud((0, 2)), 4)))
    reset_states(layer)
    alone, own, _ = _result(layer(make(make.cloud((2,)), 4)))
    if coordinates is None or own is None:
        _require(torch.allclose(whole[..., 2, :], alone[..., 2, :]), "a sample depends on the others of its batch")
        return
    rows = coordinates[:, 0] == 2
    _require(torch.equal(coordinates[rows], own), "a sample's sites depend on the others of its batch")
    _require(torch.allclose(whole[..., rows, :], alone), "a sample depends on the others of its batch")


def _check_gradients(layer: nn.Module, make: _Maker) -> None:
    rows = make.cloud()
    values = make.features(rows).requires_grad_()
    features, _, _ = _result(layer(make(rows, 4, values)))
    if not features.requires_grad:
        raise LayerContractError("no gradient reaches the result")
    features.square().sum().backward()
    _require(values.grad is not None and bool(torch.isfinite(values.grad).all()), "the input has no finite gradient")
    for name, parameter in layer.named_parameters():
        finite = parameter.grad is not None and bool(torch.isfinite(parameter.grad).all())
        _require(finite, f"{name} has no finite gradient")


def _check_copies(layer: nn.Module, make: _Maker) -> None:
    x = make(make.cloud(), 4)
    layer.eval()
    pickled = pickle.loads(pickle.dumps(layer))
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    buffer.seek(0)
    restored = copy.deepcopy(layer)
    with torch.no_grad():
        for parameter in restored.parameters():
            parameter.zero_()
    restored.load_state_dict(torch.load(buffer, weights_only=True))
    copies = {"deep copy": copy.deepcopy(layer), "pickle": pickled, "state dict": restored}
    expected = _result(layer(x))[0]
    for name, twin in copies.items():
        _require(torch.equal(_result(twin(x))[0], expected), f"a {name} gives another result")


def _check_inference_mode(layer: nn.Module, make: _Maker) -> None:
    layer.eval()
    expected = _result(layer(make(make.cloud(), 4)))[0]
    reset_states(layer)
    with torch.inference_mode():
        found = _result(layer(make(make.cloud(), 4)))[0]
    _require(torch.equal(found, expected), "inference mode gives another result")


def _check_types(layer: nn.Module, make: _Maker) -> None:
    for kind in (torch.float32, torch.float64):
        rows = make.cloud()
        found = _result(layer.to(kind)(make(rows, 4, make.features(rows).to(kind))))[0].dtype
        reset_states(layer)
        _require(found == kind, f"features of {kind} become {found}")


_CHECKS: dict[str, Callable[[nn.Module, _Maker], None]] = {
    "no sites": _check_empty,
    "one site": _check_single,
    "order of rows": _check_order,
    "samples": _check_samples,
    "gradients": _check_gradients,
    "copies": _check_copies,
    "inference mode": _check_inference_mode,
    "types": _check_types,
}
