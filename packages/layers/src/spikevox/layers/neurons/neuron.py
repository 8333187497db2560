"""What all neuron layers share: the time axis, the types they take, and kept state."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from spikevox.layers.autocast import full_precision, without_autocast
from spikevox.layers.errors import LayerError
from spikevox.layers.neurons.state import MembraneState, Place, State
from spikevox.layers.sparse_tensor import SparseTensor, adopt, features_of, time_steps_of, with_features


class Neuron(nn.Module):
    """Base of neuron layers. A subclass defines ``step(x, state) -> (spikes, state)``.

    Takes a SparseTensor, whose ``time_steps`` tell whether it has a time axis, a MinkowskiEngine tensor (one
    step), or a plain tensor of any shape, whose first dimension is time only where ``time_steps`` is given here.
    Inside ``torch.autocast`` membranes and spikes are float32.

    Args:
        time_steps: T of plain tensors (T, ...); ``None`` for tensors without a time axis.
        stateful: keep the state for the next call; see :func:`spikevox.layers.reset_states`.
        carry: with ``stateful``: what to do when the sites change, ``"error"`` or ``"match"``.

    Attributes:
        levels: the most spikes that one step can emit.
        memory: kept state, ``None`` unless ``stateful``; ``memory.carried`` counts the voxels of the last change of
            sites whose state moved, began and was dropped.
    """

    levels: int = 1

    def __init__(
        self, *, time_steps: int | None = None, stateful: bool = False, carry: Literal["error", "match"] = "error"
    ) -> None:
        super().__init__()
        if time_steps is not None and not (isinstance(time_steps, int) and time_steps >= 1):
            raise LayerError(f"time_steps must be at least 1 and whole, got {time_steps!r}.")
        self.time_steps = time_steps
        self.memory = MembraneState(carry) if stateful else None
        self.layer_name = type(self).__name__

    def step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """One time step: spikes and the state after it, from an input and the state before (``None``: at rest)."""
        raise NotImplementedError

    def run(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """All time steps of (T, ...)."""
        spikes = []
        for part in x:
            spike, state = self.step(part, state)
            spikes.append(spike)
        return torch.stack(spikes), state or ()

    def forward(self, x: Any) -> Any:
        """Spikes in the shape and type of ``x``.

        Raises:
            LayerError: a plain tensor or a sparse one whose time axis is not what the layer was built for.
            NeuronStateError: kept state that does not belong to ``x``.
        """
        features = full_precision(features_of(x))
        steps = self._time_steps(x, features)
        inputs = features.unsqueeze(0) if steps is None else features
        with without_autocast(features):
            spikes = self._fire(x, inputs)
        return with_features(x, spikes.squeeze(0) if steps is None else spikes)

    def _fire(self, x: Any, inputs: Tensor) -> Tensor:
        if self.memory is None:
            return self.run(inputs, None)[0]
        place = _place(x, tuple(inputs.shape[1:]))
        spikes, state = self.run(inputs, self.memory.load(self.layer_name, place))
        self.memory.save(state, place, spikes)
        return spikes

    def _time_steps(self, x: Any, features: Tensor) -> int | None:
        if isinstance(x, SparseTensor):
            steps = time_steps_of(x)
            if self.time_steps is not None and steps != self.time_steps:
                raise LayerError(
                    f"{self.layer_name} was built for time_steps={self.time_steps}, got {x!r}. Make the tensor with "
                    f"time_steps={self.time_steps}."
                )
            return steps
        if self.time_steps is not None and (features.ndim == 0 or features.shape[0] != self.time_steps):
            raise LayerError(
                f"{self.layer_name} was built for time_steps={self.time_steps}: expected a tensor "
                f"({self.time_steps}, ...), got {tuple(features.shape)}."
            )
        return self.time_steps


def _place(x: Any, shape: tuple[int, ...]) -> Place:
    if isinstance(x, Tensor):
        return Place(shape)
    sites = adopt(x)[0].sites
    return Place(shape, sites.coordinates, sites.tensor_stride)


def reset_states(network: nn.Module) -> None:
    """Puts every neuron of a network at rest, and gives each the name that messages use.

    Call it at the start of each independent sample or batch.
    """
    for name, module in network.named_modules():
        if isinstance(module, Neuron):
            module.layer_name = f"{name} ({type(module).__name__})" if name else type(module).__name__
            if module.memory is not None:
                module.memory.reset()


def detach_states(network: nn.Module) -> None:
    """Cuts every kept state from its graph, for truncated back-propagation through time."""
    for module in network.modules():
        if isinstance(module, Neuron) and module.memory is not None:
            module.memory.detach()
