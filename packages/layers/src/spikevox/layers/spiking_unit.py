"""Neuron, convolution and normalisation in a row: the unit that spiking networks are made of, membrane to membrane."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spikevox.layers import native
from spikevox.layers.autocast import full_precision
from spikevox.layers.conv import SparseConv3d, SparseConvolution, SparseInverseConv3d, SubmanifoldConv3d
from spikevox.layers.coordinates import Sites
from spikevox.layers.native_training import RunningStatistics, Unit, UnitTensors
from spikevox.layers.neurons.integer import ILIF
from spikevox.layers.norm import BatchNorm
from spikevox.layers.sparse_tensor import SparseTensor

_CONVOLUTIONS = (SubmanifoldConv3d, SparseConv3d, SparseInverseConv3d)


def spiking_conv(
    x: Any, neuron: nn.Module | None, conv: nn.Module, norm: nn.Module, *arguments: Any, shortcut: Any = None
) -> Any:
    """``norm(conv(neuron(x), *arguments)) + shortcut``, in one step of our compiled kernels where a training allows it.

    The result is the same, bit for bit; what is saved are passes over memory and calls. Layers with hooks of their own,
    and others than :class:`ILIF`, a convolution and :class:`BatchNorm`, are called one by one.

    Args:
        x: membrane, or real features where there is no neuron.
        neuron: ``None`` for none.
        conv: a convolution.
        norm: a normalisation.
        *arguments: of the convolution, after its input.
        shortcut: membrane on the sites of the result; ``None`` for none.
    """
    if _can_join(x, neuron, conv, norm):
        return _joined(x, neuron, conv, norm, shortcut, *arguments)
    return _one_by_one(x, neuron, conv, norm, shortcut, *arguments)


class SpikingSequential(nn.Sequential):
    """An :class:`torch.nn.Sequential` that runs each ``[neuron,] convolution, normalisation`` as :func:`spiking_conv`."""

    def forward(self, x: Any, shortcut: Any = None) -> Any:
        """The result of the last layer, and a ``shortcut`` on the same sites added to it."""
        layers = list(self)
        while layers:
            unit = _unit_in_front(layers)
            if unit is None:
                x = layers.pop(0)(x)
                continue
            del layers[: 2 if unit[0] is None else 3]
            if not layers:
                return spiking_conv(x, *unit, shortcut=shortcut)
            x = spiking_conv(x, *unit)
        return x if shortcut is None else x + shortcut


def _unit_in_front(layers: list[nn.Module]) -> tuple[ILIF | None, SparseConvolution, BatchNorm] | None:
    neuron = layers[0] if isinstance(layers[0], ILIF) else None
    others = layers if neuron is None else layers[1:]
    if len(others) < 2 or not isinstance(others[0], SparseConvolution) or not isinstance(others[1], BatchNorm):
        return None
    return neuron, others[0], others[1]


def _can_join(x: Any, neuron: nn.Module | None, conv: nn.Module, norm: nn.Module) -> bool:
    """Whether the three do what the joined step does, and nobody looks at what passes between them."""
    return bool(
        isinstance(x, SparseTensor)
        and x.backend == "compiled"
        and x.time_steps is None
        and torch.is_grad_enabled()
        and (neuron is None or (type(neuron) is ILIF and neuron.memory is None and neuron.time_steps is None))
        and type(conv) in _CONVOLUTIONS
        and conv.groups == 1
        and conv.bias is None
        and type(norm) is BatchNorm
        and norm.training
        and not norm.synchronise
        and norm.running_mean is not None
        and norm.num_batches_tracked is not None
        and norm.num_features == conv.out_channels
        and not any(_watched(module) for module in (neuron, conv, norm) if module is not None)
    )


def _watched(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks) or "forward" in vars(module) or bool(nn.modules.module._has_any_global_hook())


def _one_by_one(x: Any, neuron: Any, conv: Any, norm: Any, shortcut: Any, *arguments: Any) -> Any:
    y = norm(conv(x if neuron is None else neuron(x), *arguments))
    return y if shortcut is None else y + shortcut


def _joined(x: Any, neuron: Any, conv: Any, norm: Any, shortcut: Any, *arguments: Any) -> Any:
    outputs = conv.output_sites(x, *arguments)
    kernel_map = conv.kernel_map(x, outputs)
    membrane = x.features if neuron is None else full_precision(x.features)
    # One row is normalised to the bias, none not at all: the layer itself knows.
    if len(outputs) < 2 or not isinstance(kernel_map, native.NativeMap) or norm.running_mean.dtype != membrane.dtype:
        return _one_by_one(x, neuron, conv, norm, shortcut, *arguments)
    x.maps.engine.check(membrane)
    fits = _fits(shortcut, outputs, membrane.dtype, norm.num_features)
    running = RunningStatistics(norm.running_mean, norm.running_var, norm.num_batches_tracked, norm.momentum)
    unit = Unit(kernel_map, conv.transposed, norm.eps, 0 if neuron is None else neuron.levels, running)
    added = shortcut.features if fits else None
    y = x.moved(_SpikingConv.apply(membrane, conv.weight, norm.weight, norm.bias, added, unit), outputs)
    return y if fits or shortcut is None else y + shortcut


def _fits(shortcut: Any, outputs: Sites, dtype: torch.dtype, channels: int) -> bool:
    return bool(
        isinstance(shortcut, SparseTensor)
        and shortcut.sites is outputs
        and shortcut.time_steps is None
        and shortcut.features.dtype == dtype
        and shortcut.features.shape[1] == channels
    )


class _SpikingConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, membrane: Tensor, weight: Tensor, scale: Tensor, bias: Tensor, shortcut: Tensor | None, unit: Unit
    ) -> Tensor:
        membrane, weight, scale, bias = (value.detach().contiguous() for value in (membrane, weight, scale, bias))
        added = None if shortcut is None else shortcut.detach().contiguous()
        result, tensors = unit.forward(membrane, weight, scale, bias, added)
        ctx.save_for_backward(*tensors)
        ctx.unit = unit
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        of_membrane, of_weight = ctx.needs_input_grad[:2]
        tensors = UnitTensors(*ctx.saved_tensors)
        found = ctx.unit.backward(grad.contiguous(), tensors, of_membrane=of_membrane, of_weight=of_weight)
        return *found, grad if ctx.needs_input_grad[4] else None, None
