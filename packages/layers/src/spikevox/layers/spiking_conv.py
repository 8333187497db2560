"""Neuron, convolution and normalisation in a row: the unit that spiking networks are made of, membrane to membrane."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spikevox.layers import native
from spikevox.layers.conv import SparseConv3d, SparseConvolution, SparseInverseConv3d, SubmanifoldConv3d
from spikevox.layers.native_training import Unit
from spikevox.layers.neurons.integer import ILIF
from spikevox.layers.norm import BatchNorm
from spikevox.layers.sparse_tensor import SparseTensor

_CONVOLUTIONS = (SubmanifoldConv3d, SparseConv3d, SparseInverseConv3d)


def spiking_conv(x: Any, neuron: nn.Module | None, conv: nn.Module, norm: nn.Module, *arguments: Any) -> Any:
    """``norm(conv(neuron(x), *arguments))``, in one step of our compiled kernels where a training allows it.

    The result is the same, bit for bit; what is saved are passes over memory and calls. Layers with hooks of their own,
    and others than :class:`ILIF`, a convolution and :class:`BatchNorm`, are called one by one.

    Args:
        x: membrane, or real features where there is no neuron.
        neuron: ``None`` for none.
        conv: a convolution.
        norm: a normalisation.
        *arguments: of the convolution, after its input.
    """
    if _can_join(x, neuron, conv, norm):
        return _joined(x, neuron, conv, norm, *arguments)
    return norm(conv(x if neuron is None else neuron(x), *arguments))


class SpikingSequential(nn.Sequential):
    """An :class:`torch.nn.Sequential` that runs each ``[neuron,] convolution, normalisation`` as :func:`spiking_conv`."""

    def forward(self, x: Any) -> Any:
        """The result of the last layer."""
        layers = list(self)
        at = 0
        while at < len(layers):
            neuron = layers[at] if isinstance(layers[at], ILIF) else None
            conv, norm = (*layers[at + (neuron is not None) :][:2], None, None)[:2]
            if isinstance(conv, SparseConvolution) and isinstance(norm, BatchNorm):
                x = spiking_conv(x, neuron, conv, norm)
                at += 2 + (neuron is not None)
            else:
                x = layers[at](x)
                at += 1
        return x


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
        and norm.of_single_process(x)
        and not any(_watched(module) for module in (neuron, conv, norm) if module is not None)
    )


def _watched(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks) or bool(nn.modules.module._has_any_global_hook())


def _joined(x: Any, neuron: Any, conv: Any, norm: Any, *arguments: Any) -> Any:
    outputs = conv.output_sites(x, *arguments)
    kernel_map = conv.kernel_map(x, outputs)
    if not isinstance(kernel_map, native.NativeMap):
        return norm(conv(x if neuron is None else neuron(x), *arguments))
    x.maps.engine.check(x.features)
    levels = 0 if neuron is None else neuron.levels
    features, mean, variance = _SpikingConv.apply(
        x.features, conv.weight, norm.weight, norm.bias, norm.eps, levels, kernel_map, conv.transposed
    )
    norm.track(mean, variance, len(outputs))
    return x.moved(features, outputs)


class _SpikingConv(torch.autograd.Function):
    """Membrane to membrane; ``levels`` is 0 where there is no neuron."""

    @staticmethod
    def forward(
        ctx: Any,
        membrane: Tensor,
        weight: Tensor,
        scale: Tensor,
        bias: Tensor,
        eps: float,
        levels: int,
        kernel_map: native.NativeMap,
        transposed: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        membrane, weight, scale, bias = (value.detach().contiguous() for value in (membrane, weight, scale, bias))
        unit = Unit(membrane, weight, scale, kernel_map, transposed=transposed, eps=eps, levels=levels)
        result = unit.forward(bias)
        ctx.unit = unit
        # Saved only to be told if one of them was changed in place before the gradient needs it.
        ctx.save_for_backward(membrane, weight, scale)
        ctx.mark_non_differentiable(*unit.of_sums)
        return result, *unit.of_sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        _saved = ctx.saved_tensors
        gradients = ctx.unit.backward(grad.contiguous(), of_membrane=ctx.needs_input_grad[0])
        return *gradients, None, None, None, None
