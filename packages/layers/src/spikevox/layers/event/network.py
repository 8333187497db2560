"""Event-driven inference: a network of this package, run on the spikes that there are."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spikevox.layers import native
from spikevox.layers.coordinates import CoordinateMaps
from spikevox.layers.errors import BackendError, SparseTensorError
from spikevox.layers.event.plan import make_plan
from spikevox.layers.event.program import NativeNetwork, NativeSession
from spikevox.layers.graph import SAMPLES, Graph, Output, record
from spikevox.layers.sparse_tensor import SparseTensor


class LayerWork(NamedTuple):
    """What one layer did.

    Attributes:
        name: path of the module.
        additions: of one weight to one sum, each for an event; a layer that reads values counts all its products.
    """

    name: str
    additions: int


class EventResult(NamedTuple):
    """What a call gives.

    Attributes:
        output: in the structure that the network itself returns.
        work: of each layer of the engine, in order.
    """

    output: Any
    work: tuple[LayerWork, ...]

    @property
    def additions(self) -> int:
        """Of all layers together."""
        return sum(layer.additions for layer in self.work)


class EventNetwork:
    """A compiled network; see :func:`compile`. Calls may come from several threads at once.

    The weights are those at the time of compilation; the memory of its tables is kept from call to call.
    """

    def __init__(self, graph: Graph, dtype: torch.dtype) -> None:
        self._result = graph.result
        self._in_channels = graph.nodes[0].channels
        self._sites = graph.sites
        self._sites_of = [node.sites for node in graph.nodes]
        self.dtype = dtype
        plan = make_plan(graph, _output_nodes(graph.result))
        self._network = NativeNetwork(plan, graph.sites, self._sites_of, dtype)

    def __call__(self, x: SparseTensor) -> EventResult:
        """Runs the network on a sparse tensor.

        Sparse results on other sites than those of ``x`` are tensors of their own, on maps that they do not share.

        Raises:
            SparseTensorError: another dtype, device, number of channels or tensor stride than the network was compiled
                for, or a time axis.
            BackendError: features that are not finite.
            CoordinateRangeError: sites too far apart.
        """
        stride = self._sites[0].tensor_stride
        features = x.features.detach()
        if (
            x.time_steps is not None
            or features.dtype != self.dtype
            or features.device.type != "cpu"
            or features.shape[-1] != self._in_channels
            or x.tensor_stride != stride
        ):
            raise SparseTensorError(
                f"the network was compiled for {self._in_channels} channels, {self.dtype} on the CPU at tensor stride "
                f"{stride}, without a time axis; got {x!r}."
            )
        session = self._network.prepare(x.coordinates.contiguous(), x.batch_size)
        tables, work = self._network.execute(session, features.contiguous())
        return EventResult(self._wrap(self._result, x, session, tables), self._named(work))

    def run(self, coordinates: Tensor, features: Tensor, batch_size: int) -> EventResult:
        """Runs the network on plain tensors, rows in any order: the shortest way in.

        Args:
            coordinates: (N, 4) int32, contiguous: sample, x, y, z; none twice.
            features: (N, C), contiguous, of the network's dtype.
            batch_size: B.

        Returns:
            Results with a row a sample are tensors (B, C); results on sites are pairs (features, coordinates), those on
            the input's sites in the order of its rows.

        Raises:
            SparseTensorError: shapes that do not fit.
            TypeError: other types, or tensors that are not contiguous.
            BackendError: equal coordinates, samples outside the batch, or features that are not finite.
        """
        if (
            coordinates.ndim != 2
            or coordinates.shape[1] != 4
            or features.shape != (len(coordinates), self._in_channels)
        ):
            raise SparseTensorError(
                f"expected coordinates (N, 4) and features (N, {self._in_channels}), got {tuple(coordinates.shape)} and "
                f"{tuple(features.shape)}."
            )
        session = self._network.prepare(coordinates, batch_size)
        tables, work = self._network.execute(session, features)

        def plain(node: int) -> Any:
            index = self._network.output_of[node]
            sites = self._sites_of[node]
            if sites == SAMPLES:
                return tables[index]
            return tables[index], coordinates if sites == 0 else session.coordinates(sites)

        return EventResult(_fill(self._result, plain), self._named(work))

    def sites(self, coordinates: Tensor, batch_size: int) -> dict[int, Tensor]:
        """Coordinates (N, 4) int32 of each set of sites that the network derives from an input's, by its number.

        Args:
            coordinates: as for :meth:`run`.
            batch_size: B.
        """
        session = self._network.prepare(coordinates, batch_size)
        return {number: session.coordinates(number) for number in range(1, len(self._sites))}

    def _named(self, work: list[int]) -> tuple[LayerWork, ...]:
        return tuple(LayerWork(name, count) for name, count in zip(self._network.names, work, strict=True))

    def _wrap(self, result: Any, x: SparseTensor, session: NativeSession, tables: list[Tensor]) -> Any:
        maps: list[CoordinateMaps] = []

        def sparse(node: int) -> Any:
            table = tables[self._network.output_of[node]]
            sites = self._sites_of[node]
            if sites == SAMPLES:
                return table
            if sites == 0:
                return x.replace(table)
            if not maps:
                maps.append(CoordinateMaps(x.batch_size, "compiled"))
            known = maps[0].insert(session.coordinates(sites), self._sites[sites].tensor_stride)
            return SparseTensor.on_sites(table, known)

        return _fill(result, sparse)

    def __reduce__(self) -> Any:
        raise TypeError("a compiled network cannot be copied or stored: store the network and compile it again.")


def compile(
    network: nn.Module, *, call: Callable[[Any], Any] | None = None, example: SparseTensor | None = None
) -> EventNetwork:
    """Compiles a network for event-driven inference on the CPU.

    Normalisations are folded into the weights, neurons and residuals fused behind them; each layer then adds one row of
    weights an event, over kernel maps that layers share. Results are those of the network in evaluation mode up to the
    order of sums, and equal bit for bit for any number of threads (``torch.set_num_threads``).

    Args:
        network: of layers of this package, for one time step; its own classes may add, concatenate and branch.
        call: what to run, where it is not the network itself: takes a SparseTensor.
        example: an input like those to come; by default a few sites with as many channels as the first layer takes.

    Raises:
        GraphError: an operation or a layer that the engine cannot take; it names the module.
        BackendError: the compiled library is not there.

    Example:
        >>> from spikevox.layers import SparseTensor, event
        >>> from spikevox.layers.backbones import Encoder
        >>> engine = event.compile(Encoder("T", in_channels=3))
        >>> x = SparseTensor(torch.rand(2, 3), torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0]]), batch_size=1)
        >>> engine(x).output
        SparseTensor(1 sites, 128 channels, batch_size=1, ...)
    """
    if not native.available():
        raise BackendError(f"event-driven inference needs the compiled library, and {native.reason_absent()}.")
    weights = [p for p in network.parameters() if p.is_floating_point()]
    dtype = weights[0].dtype if weights else torch.float32
    if {p.dtype for p in weights} - {dtype} or dtype not in (torch.float32, torch.float64):
        raise BackendError("event-driven inference takes networks that are float32 or float64 throughout.")
    return EventNetwork(record(network, call=call, example=example), dtype)


def _output_nodes(result: Any) -> list[int]:
    found: list[int] = []
    _fill(result, found.append)
    return found


def _fill(result: Any, make: Callable[[int], Any]) -> Any:
    """The structure of a result with what ``make`` gives for each output."""
    if isinstance(result, Output):
        return make(result.node)
    if isinstance(result, dict):
        return {key: _fill(value, make) for key, value in result.items()}
    if hasattr(result, "_fields"):
        return type(result)(*(_fill(value, make) for value in result))
    return type(result)(_fill(value, make) for value in result)
