"""Membrane state that outlives a call, tied to the voxels that it belongs to."""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from spikevox.layers.backends.site_table import SiteTable
from spikevox.layers.errors import LayerError, NeuronStateError

State = tuple[Tensor, ...]


class Carried(NamedTuple):
    """What became of the voxels of a state when the sites changed.

    Attributes:
        moved: voxels whose state went on, at the same coordinates.
        new: voxels without a state, which start at rest.
        lost: voxels whose state was dropped, as they are no longer there.
    """

    moved: int
    new: int
    lost: int


class _Flag:
    """Set by a backward pass."""

    value = False

    def set(self, grad: Tensor) -> None:
        self.value = True


class Place(NamedTuple):
    """What a state belongs to.

    Attributes:
        shape: of one step's input, (N, C) or any.
        coordinates: (N, 4), ``None`` for plain tensors.
        tensor_stride: distance of neighbouring sites, ``None`` for plain tensors.
    """

    shape: tuple[int, ...]
    coordinates: Tensor | None = None
    tensor_stride: tuple[int, int, int] | None = None

    def equals(self, other: "Place") -> bool:
        """Whether both are the same rows of the same sites."""
        if self.shape != other.shape or not self.alike(other):
            return False
        if self.coordinates is other.coordinates:
            return True
        if self.coordinates is None or other.coordinates is None:
            return False
        return torch.equal(self.coordinates, other.coordinates)

    def alike(self, other: "Place") -> bool:
        """Whether both have the same channels at the same resolution."""
        return self.tensor_stride == other.tensor_stride and self.shape[1:] == other.shape[1:]

    def __str__(self) -> str:
        stride = "" if self.tensor_stride is None else f" at tensor stride {self.tensor_stride}"
        return f"({self.shape}{stride})"


class MembraneState:
    """Keeps the state of one neuron layer between calls.

    Args:
        carry: ``"error"`` refuses other sites than the state's; ``"match"`` moves each voxel's state to its new row.

    Attributes:
        carried: counts of the last change of sites, ``None`` before the first.
    """

    def __init__(self, carry: Literal["error", "match"]) -> None:
        if carry not in ("error", "match"):
            raise LayerError(f"carry must be 'error' or 'match', got {carry!r}.")
        self.carry = carry
        self.reset()

    def reset(self) -> None:
        """Forgets the state: the next call starts at rest."""
        self.carried: Carried | None = None
        self._state: State = ()
        self._place = Place(())
        self._used_graph = _Flag()

    def detach(self) -> None:
        """Cuts the state from the graph that made it, for truncated back-propagation through time."""
        self._state = tuple(part.detach() for part in self._state)
        # A backward pass that comes later through the graph left behind says nothing about the state.
        self._used_graph = _Flag()

    def load(self, layer: str, place: Place) -> State | None:
        """The state for input at this place; ``None`` to start at rest.

        Raises:
            NeuronStateError: other sites under ``carry="error"``; other channels, another tensor stride, or a state
                whose graph is gone.
        """
        if not self._state:
            return None
        if self._used_graph.value and any(part.requires_grad for part in self._state):
            raise NeuronStateError(
                f"{layer}: its membrane belongs to a graph that backward has already used. Call reset_states(network) "
                "between samples, or detach_states(network) to go on without that gradient."
            )
        known = self._place
        if known.equals(place):
            return self._state
        remedy = ""
        if known.coordinates is not None and place.coordinates is not None and known.alike(place):
            if self.carry == "match":
                return self._move(known.coordinates, place.coordinates)
            remedy = ", or build the layer with carry='match' to move the state with its voxels"
        raise NeuronStateError(
            f"{layer}: its membrane belongs to other sites {known} than this input {place}. Call "
            f"reset_states(network) at the start of a sample{remedy}."
        )

    def _move(self, known: Tensor, coordinates: Tensor) -> State:
        rows, old_rows = SiteTable(known).find(coordinates)
        self.carried = Carried(len(rows), len(coordinates) - len(rows), len(known) - len(rows))
        return tuple(
            part.new_zeros(len(coordinates), *part.shape[1:]).index_copy(0, rows, part[old_rows])
            for part in self._state
        )

    def save(self, state: State, place: Place, spikes: Tensor) -> None:
        """Keeps a state; watches for the backward pass that uses up its graph."""
        self._state = state
        self._place = place
        if spikes.requires_grad:
            spikes.register_hook(self._used_graph.set)

    def __getstate__(self) -> dict[str, Any]:
        # A copied or stored network starts at rest: a membrane is no weight.
        return {"carry": self.carry}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["carry"])  # type: ignore[misc]
