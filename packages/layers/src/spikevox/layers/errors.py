"""Errors of the layers; all derive from ``SpikevoxError``."""

from collections.abc import Iterable

from spikevox.encoding.errors import SpikevoxError


class SparseTensorError(SpikevoxError, ValueError):
    """Features, coordinates or options of a sparse tensor do not fit together.

    Attributes:
        rows: the rows concerned, counted from 0; empty where no single row is at fault.
    """

    def __init__(self, message: str, rows: Iterable[int] = ()) -> None:
        super().__init__(message)
        self.rows = tuple(int(row) for row in rows)


class LayerError(SpikevoxError, ValueError):
    """A layer was built or called with something that it cannot take."""


class NeuronStateError(SpikevoxError, RuntimeError):
    """A stateful neuron met a batch or sites that its membrane does not belong to."""


class BackendError(SpikevoxError, RuntimeError):
    """A backend is missing, or cannot run where it was called."""


class GraphError(SpikevoxError, ValueError):
    """A network does something that cannot be recorded or run elsewhere; the message names the module."""


class EnergyError(SpikevoxError, ValueError):
    """Operations that cannot be counted, or counts that cannot be priced; the message names the module."""


class DeployFileError(SpikevoxError, ValueError):
    """A file of integer weights or of events is damaged, foreign, or of a version that is not known.

    Attributes:
        path: the file.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
