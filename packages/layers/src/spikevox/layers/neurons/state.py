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
        self.carried: Carried | None = None
        self._state: State | None = None
        self._coordinates: Tensor | None = None
        self._backward_has_run = False

    def reset(self) -> None:
        """Forgets the state: the next call starts at rest."""
        self._state = self._coordinates = self.carried = None
        self._backward_has_run = False

    def detach(self) -> None:
        """Cuts the state from the graph that made it, for truncated back-propagation through time."""
        if self._state is not None:
            self._state = tuple(part.detach() for part in self._state)
        self._backward_has_run = False

    def load(self, layer: str, shape: torch.Size, coordinates: Tensor | None) -> State | None:
        """The state for input of this shape at these sites; ``None`` to start at rest.

        Raises:
            NeuronStateError: other sites under ``carry="error"``, another shape, or a state whose graph is gone.
        """
        if self._state is None:
            return None
        if self._backward_has_run and any(part.requires_grad for part in self._state):
            raise NeuronStateError(
                f"{layer}: its membrane belongs to a graph that backward has already used. Call reset_states(network) "
                "between samples, or detach_states(network) to go on without that gradient."
            )
        known = self._coordinates
        if coordinates is not None and known is not None:
            if torch.equal(coordinates, known):
                return self._state
            if self.carry == "match":
                return self._move(known, coordinates)
        elif self._state[0].shape == shape:
            return self._state
        raise NeuronStateError(
            f"{layer}: its membrane belongs to other sites ({tuple(self._state[0].shape)}) than this input "
            f"({tuple(shape)}). Call reset_states(network) at the start of a sample, or build the layer with "
            "carry='match' to move the state with its voxels."
        )

    def _move(self, known: Tensor, coordinates: Tensor) -> State:
        rows, old_rows = SiteTable(known).find(coordinates)
        self.carried = Carried(len(rows), len(coordinates) - len(rows), len(known) - len(rows))
        parts = self._state or ()
        return tuple(
            part.new_zeros(len(coordinates), *part.shape[1:]).index_copy(0, rows, part[old_rows]) for part in parts
        )

    def save(self, state: State, coordinates: Tensor | None, spikes: Tensor) -> None:
        """Keeps a state; watches for the backward pass that uses up its graph."""
        self._state = state
        self._coordinates = coordinates
        if spikes.requires_grad:
            spikes.register_hook(self._mark)

    def _mark(self, grad: Tensor) -> None:
        self._backward_has_run = True

    def __getstate__(self) -> dict[str, Any]:
        # A copied or stored network starts at rest: a membrane is no weight.
        return {"carry": self.carry}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["carry"])  # type: ignore[misc]
