"""From integer spikes to binary ones: the spike-driven form of a trained network, without training (E-3DSNN, section 1.3).

``S = sum over d of [S >= d]``, so a layer without bias gives for integers the sum of what it gives for D binary steps; bias and
normalisation follow once. An integrate-and-fire neuron of threshold 1 with soft reset, charged with ``clamp(U, 0, D)`` from a
potential of 1/2, fires ``floor(clamp(U, 0, D) + 0.5)`` times in D steps.
"""

import copy
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from spikevox.layers.autocast import full_precision
from spikevox.layers.conv import SparseConvolution
from spikevox.layers.deploy.binary_spikes import BinarySpikes
from spikevox.layers.errors import GraphError
from spikevox.layers.neurons.integer import ILIF
from spikevox.layers.neurons.neuron import Neuron
from spikevox.layers.neurons.rectified import ReLU
from spikevox.layers.neurons.state import State
from spikevox.layers.pool import AveragePool3d, GlobalMaxPool, GlobalMeanPool, GlobalSumPool, MaxPool3d
from spikevox.layers.sparse_tensor import features_of, with_features

_DENSE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_LINEAR = (SparseConvolution, nn.Linear, *_DENSE, AveragePool3d, GlobalMeanPool, GlobalSumPool)
_LARGEST = (MaxPool3d, GlobalMaxPool)


def integrate_and_fire(charge: Tensor, levels: int) -> list[Tensor]:
    """Binary spikes of D virtual steps: threshold 1, soft reset, a potential of 1/2 to start from.

    Args:
        charge: any shape, floating; what reaches the neuron at the first step, clipped to ``[0, D]``.
        levels: D.

    Returns:
        D tensors of 0 and 1, in the shape and type of ``charge``. No step is rounded: a float less 1 is exact from 1 on.

    Example:
        >>> [step.tolist() for step in integrate_and_fire(torch.tensor([0.4, 0.5, 9.0]), 2)]
        [[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    """
    potential = charge.clamp(0, levels) + 0.5
    steps = []
    for _ in range(levels):
        steps.append((potential >= 1).to(charge.dtype))
        potential = potential - steps[-1]
    return steps


class VirtualStepNeuron(ILIF):
    """An I-LIF neuron that fires binary spikes over D virtual steps, within each of its T time steps."""

    def step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """One time step: (D, ...) binary spikes, and the state as :class:`ILIF` keeps it."""
        membrane = x if state is None else state[0] + x
        steps = torch.stack(integrate_and_fire(membrane, self.levels))
        return steps, (self.decay * (membrane - steps.sum(dim=0)),)

    def run(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """All time steps of (T, ...): spikes (T, D, ...)."""
        return Neuron.run(self, x, state)

    @torch.no_grad()
    def forward(self, x: Any) -> Any:
        """:class:`BinarySpikes` in the shape and type of ``x``."""
        features = features_of(x)
        if isinstance(features, BinarySpikes):
            features = features.integers()
        features = full_precision(features)
        steps = self._time_steps(x, features)
        fired = self._fire(x, features.unsqueeze(0) if steps is None else features)
        fired = fired.squeeze(0) if steps is None else fired.movedim(1, 0)
        # Laid out in memory as the membrane is: dense layers and normalisations choose the order of their sums by that.
        return with_features(x, BinarySpikes([torch.empty_like(features).copy_(step) for step in fired.unbind(0)]))


class OnEachStep(nn.Module):
    """A layer that takes binary spikes step by step; attributes are those of the layer.

    Args:
        layer: linear but for its bias, which is added once, to the sum over the steps; or a pool of the largest, whose steps
            go on.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def __getattr__(self, name: str) -> Any:
        layer = self.__dict__.get("_modules", {}).get("layer")
        return layer if name == "layer" or layer is None else getattr(layer, name)

    def forward(self, x: Any, *arguments: Any, **options: Any) -> Any:
        """What the layer gives for the sum of the steps; other inputs reach it as they are."""
        spikes = features_of(x)
        if not isinstance(spikes, BinarySpikes):
            return self.layer(x, *arguments, **options)
        bias = getattr(self.layer, "bias", None)
        layer = self.layer if bias is None else _without_bias(self.layer)
        results = [layer(with_features(x, step), *arguments, **options) for step in spikes.steps]
        steps = [features_of(result) for result in results]
        if isinstance(self.layer, _LARGEST):
            return with_features(results[0], BinarySpikes(steps))
        # One after another, which keeps the layout.
        total = reduce(torch.add, steps)
        if bias is not None:
            beside = 0 if not isinstance(self.layer, _DENSE) else len(self.layer.kernel_size)
            total = total + bias.view(-1, *[1] * beside)
        return with_features(results[0], total)


def to_binary(network: nn.Module) -> nn.Module:
    """The spike-driven form of a network: the same spikes, each layer fed with binary ones over D virtual steps.

    Neurons of integer spikes become integrate-and-fire neurons with soft reset (:class:`VirtualStepNeuron`), which emit
    :class:`BinarySpikes`; what reads them adds up its results on D binary inputs, then takes bias and normalisation once. Neurons
    that are binary already stay: T time steps of theirs need no virtual ones. Sums of membranes, skips and branches are as they
    were.

    Args:
        network: of our layers, plain or in classes of a user's own, dense layers of torch among them.

    Returns:
        A copy in evaluation mode, with neurons under their names; no gradient passes through it.

    Raises:
        GraphError: a neuron that emits real values, or integers by a rule of its own; it is named. In a call: an operation on
            spikes between a neuron and a layer that is not the same on binary ones.

    Example:
        >>> from spikevox.layers import ILIF, Linear
        >>> layers = nn.Sequential(ILIF(levels=4), Linear(2, 1))
        >>> x = torch.tensor([[0.7, 3.2]])
        >>> torch.allclose(to_binary(layers)(x), layers(x))
        True
    """
    found = dict(network.named_modules(remove_duplicate=False))
    for name, module in found.items():
        _check_neuron(name or "the network", module)
    made: dict[int, nn.Module] = {}
    result = copy.deepcopy(network)
    return _replaced(result, made).eval()


def _check_neuron(name: str, module: nn.Module) -> None:
    if isinstance(module, ReLU | nn.ReLU):
        raise GraphError(f"{name}: a rectified unit emits real values; it has no binary form.")
    if isinstance(module, Neuron) and type(module) is not ILIF and module.levels != 1:
        raise GraphError(
            f"{name}: {type(module).__name__} emits integers by a rule of its own; only ILIF has a binary form."
        )


def _replaced(module: nn.Module, made: dict[int, nn.Module]) -> nn.Module:
    """The module, or what takes its place; a module that is used twice is replaced once."""
    if id(module) in made:
        return made[id(module)]
    result = module
    if type(module) is ILIF:
        result = VirtualStepNeuron(module.levels, decay=module.decay, time_steps=module.time_steps)
        result.memory, result.layer_name = module.memory, module.layer_name
    elif isinstance(module, (*_LINEAR, *_LARGEST)):
        result = OnEachStep(module)
    else:
        made[id(module)] = module
        for name, child in module._modules.items():
            if child is not None:
                module._modules[name] = _replaced(child, made)
    made[id(module)] = result
    return result


def _without_bias(layer: nn.Module) -> nn.Module:
    """The layer with the same weights and no bias."""
    result = copy.copy(layer)
    result._parameters = {**layer._parameters, "bias": None}
    return result
