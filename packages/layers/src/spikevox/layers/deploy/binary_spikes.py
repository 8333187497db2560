"""Spikes over D virtual time steps: D binary tensors that pass through a network as one."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from spikevox.layers.errors import GraphError

# What may be done to each step alone: to move, choose and join values, and to take a maximum, which of spikes that fill the steps
# from the first on is the maximum of their sums.
_PER_STEP = {
    "__get__", "__getitem__", "__setitem__", "__len__", "dim", "size", "numel", "is_floating_point", "is_complex", "new_zeros",
    "reshape", "view", "flatten", "permute", "movedim", "transpose", "squeeze", "unsqueeze", "expand", "contiguous", "to",
    "float", "double", "detach", "clone", "index_select", "amax", "cat", "concat", "concatenate", "dropout", "feature_dropout",
}  # fmt: skip
_JOINED = {"cat", "concat", "concatenate"}


class BinarySpikes(Tensor):
    """What a neuron emits over D virtual steps, in the shape that a network knows.

    Code between a neuron and the layer that reads it may index, reshape, join or take a maximum: each step goes through it alone.
    Anything else that it calls is an error, as it would not be the same on binary spikes.

    Args:
        steps: D tensors of 0 and 1, all of one shape.

    Attributes:
        steps: as above, in order.

    Example:
        >>> spikes = BinarySpikes([torch.tensor([1.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, 0.0])])
        >>> spikes.integers()
        tensor([2., 1., 0.])
    """

    steps: tuple[Tensor, ...]

    @staticmethod
    def __new__(cls, steps: Sequence[Tensor]) -> "BinarySpikes":
        """A tensor without memory of its own."""
        first = steps[0]
        return Tensor._make_wrapper_subclass(cls, first.shape, dtype=first.dtype, device=first.device)

    def __init__(self, steps: Sequence[Tensor]) -> None:
        super().__init__()
        self.steps = tuple(steps)

    def integers(self) -> Tensor:
        """Number of spikes of each neuron: the sum over the steps."""
        return torch.stack(self.steps).sum(dim=0)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"BinarySpikes({len(self.steps)} steps of {tuple(self.steps[0].shape)})"

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs a function on each step."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", str(func))
        found = list(_spikes((args, kwargs)))
        if name not in _PER_STEP or (name != "__get__" and any(map(_is_real, _plain((args, kwargs))))):
            raise GraphError(
                f"torch's {name} is called on spikes between a neuron and the layer that reads them. On binary spikes they can "
                "be indexed, reshaped, joined with other spikes and compared for a maximum; everything else belongs behind a "
                "layer."
            )
        count = max(len(one.steps) for one in found)
        if name not in _JOINED and any(len(one.steps) != count for one in found):
            raise GraphError(f"torch's {name} is called on spikes of neurons of unlike levels.")
        results = [func(*_at(args, step), **_at(kwargs, step)) for step in range(count)]
        return BinarySpikes(results) if isinstance(results[0], Tensor) else results[0]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Nothing comes here but what went around torch's own functions."""
        raise GraphError(f"{func} cannot be run on binary spikes.")


def _is_real(value: Tensor) -> bool:
    return value.is_floating_point()


def _spikes(value: Any) -> Iterable[BinarySpikes]:
    return (tensor for tensor in _tensors(value) if isinstance(tensor, BinarySpikes))


def _plain(value: Any) -> Iterable[Tensor]:
    return (tensor for tensor in _tensors(value) if not isinstance(tensor, BinarySpikes))


def _tensors(value: Any) -> Iterable[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


def _at(value: Any, step: int) -> Any:
    """Arguments with the step in the place of spikes; a neuron that is through with its steps is silent."""
    if isinstance(value, BinarySpikes):
        return value.steps[step] if step < len(value.steps) else torch.zeros_like(value.steps[0])
    if isinstance(value, dict):
        return {key: _at(part, step) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_at(part, step) for part in value)
    return value
