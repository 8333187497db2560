"""Whole networks in integers: weights, and the tensor path that the simulator and the player in C equal."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikevox.layers.backends.geometry import KernelGeometry
from spikevox.layers.coordinates import Sites
from spikevox.layers.deploy.lowering import lower
from spikevox.layers.deploy.program import INPUT_RANGE, IntegerLayer, Program, SiteRule, Source, branch, fire
from spikevox.layers.errors import GraphError, SparseTensorError
from spikevox.layers.event.plan import make_plan
from spikevox.layers.graph import Output, record
from spikevox.layers.sparse_tensor import SparseTensor

_LARGEST_FRACTION = 30


class IntegerResult(NamedTuple):
    """What a call gives.

    Attributes:
        output: in the structure that the network itself returns, float64.
        tables: integers of each table, (N, C): int16 of the input, int32 of membranes, uint8 of spikes.
        sites: coordinates (N, 4) int32 of each set of sites.
        clipped: values of the input that lay outside of int16.
    """

    output: Any
    tables: tuple[NDArray[Any], ...]
    sites: tuple[NDArray[np.int32], ...]
    clipped: int


class IntegerNetwork:
    """A network in integers; see :func:`to_integer`.

    Args:
        program: what it runs.
        result: what the network returns, with an :class:`~spikevox.layers.graph.Output` in the place of each tensor, whose
            nodes are numbers of the program's outputs; by default a tuple of them.
    """

    def __init__(self, program: Program, result: Any = None) -> None:
        self.program = program
        self._result = tuple(Output(i) for i in range(len(program.outputs))) if result is None else result

    @torch.no_grad()
    def __call__(self, x: SparseTensor, *, binary: bool = False) -> IntegerResult:
        """Runs the network.

        Args:
            x: float32 or float64 features at the tensor stride that it was made for.
            binary: feed layers with binary spikes over D virtual steps, from integrate-and-fire neurons in integers; the
                result is the same, bit for bit.

        Raises:
            SparseTensorError: other channels or another stride, a time axis, or features that are not finite.
        """
        run = _Run(self.program, x, binary)
        for layer in self.program.layers:
            run.step(layer)
        values = [self._value(run, number) for number in range(len(self.program.outputs))]
        tables = tuple(run.tables[i] for i in range(len(self.program.tables)))
        sites = tuple(known.coordinates.numpy() for known in run.sites)
        return IntegerResult(fill(self._result, values), tables, sites, run.clipped)

    def _value(self, run: "_Run", number: int) -> Any:
        output = self.program.outputs[number]
        sites = run.sites[self.program.tables[output.table].sites]
        index = sites.batch_index.numpy()
        value = self.program.values(output, run.tables[output.table], index, run.x.batch_size)
        tensor = torch.from_numpy(value)
        return tensor if output.pool != "none" else SparseTensor.on_sites(tensor, sites)


class _Run:
    """One input on its way through a program."""

    def __init__(self, program: Program, x: SparseTensor, binary: bool) -> None:
        channels, stride = program.tables[0].channels, program.sites[0].tensor_stride
        if x.time_steps is not None or x.features.shape[-1] != channels or x.tensor_stride != stride:
            raise SparseTensorError(
                f"the network was made for {channels} channels at tensor stride {stride}, without a time axis; got {x!r}."
            )
        if not bool(torch.isfinite(x.features).all()):
            raise SparseTensorError("the input has features that are not finite.")
        if x.backend not in ("torch_ops", "compiled"):
            x = SparseTensor(
                x.features, x.coordinates, batch_size=x.batch_size, tensor_stride=stride, backend="torch_ops"
            )
        self.program, self.x, self.binary = program, x, binary
        features = x.features.double().numpy()
        entry = program.fixed_point(features)
        self.tables: dict[int, NDArray[Any]] = {0: entry}
        wide = np.floor(np.ldexp(features, program.fraction) + 0.5)
        self.clipped = int(((wide < INPUT_RANGE[0]) | (wide > INPUT_RANGE[1])).sum())
        self.sites: list[Sites] = [x.sites]
        for rule in program.sites[1:]:
            geometry = KernelGeometry(rule.kernel_size, rule.stride, rule.padding, rule.dilation)
            extent = None if rule.extent[0] < 0 else rule.extent
            mode = "stride" if rule.floor else "covered"
            self.sites.append(x.maps.strided(self.sites[rule.parent], geometry, mode=mode, extent=extent))
        self._steps: dict[int, list[NDArray[np.uint8]]] = {}

    def step(self, layer: IntegerLayer) -> None:
        """Runs one layer and stores what it writes."""
        membrane = np.zeros((len(self.sites[layer.sites]), layer.channels), np.int64)
        if layer.sources:
            for source in layer.sources:
                membrane += self._sums(layer, source)
            membrane = branch(membrane, layer)
        for index in layer.residuals:
            table = self.tables[index].astype(np.int64)
            membrane += table * self.program.unit(index) if self.program.tables[index].kind == "spikes" else table
        for index in layer.results:
            known = self.program.tables[index]
            if known.kind == "membrane":
                self.tables[index] = membrane.astype(np.int32)
            elif not self.binary:
                self.tables[index] = fire(membrane, known.thresholds)
            else:
                self._steps[index] = integrate_and_fire(membrane, known.thresholds)
                self.tables[index] = np.stack(self._steps[index]).sum(axis=0).astype(np.uint8)

    def _sums(self, layer: IntegerLayer, source: Source) -> NDArray[np.int64]:
        """Sums (N, C) of a source; its D binary steps one by one where they are asked for."""
        steps = self._steps.get(source.table, [self.tables[source.table]])
        return sum(self._convolve(layer, source, step) for step in steps)  # type: ignore[return-value]

    def _convolve(self, layer: IntegerLayer, source: Source, values: NDArray[Any]) -> NDArray[np.int64]:
        # Whole numbers below 2^53: float64 holds each product and each sum, in any order.
        features = torch.from_numpy(values.astype(np.float64))
        weight = torch.from_numpy(source.weight.astype(np.float64))
        if layer.map < 0:
            return (features @ weight[0]).long().numpy()
        rule = self.program.maps[layer.map]
        geometry = self.geometries[layer.map]
        kernel_map = self.x.maps.kernel_map(self.sites[rule.inputs], self.sites[rule.outputs], geometry)
        engine = self.x.maps.engine
        return engine.convolve(features, weight, kernel_map, transposed=layer.transposed).long().numpy()

    @property
    def geometries(self) -> list[KernelGeometry]:
        """Of each kernel map."""
        return [_geometry(rule.offsets, self.program.sites[rule.inputs]) for rule in self.program.maps]


def _geometry(offsets: NDArray[np.int32], sites: SiteRule) -> KernelGeometry:
    """Kernel, padding and dilation that give these offsets; the stride does not matter between sets that are known."""
    steps = offsets // np.array(sites.tensor_stride)
    axes = [np.unique(steps[:, axis]) for axis in range(3)]
    kernel = [len(axis) for axis in axes]
    padding = [-int(axis[0]) for axis in axes]
    dilation = [1 if len(axis) < 2 else int(axis[1] - axis[0]) for axis in axes]
    return KernelGeometry(tuple(kernel), (1, 1, 1), tuple(padding), tuple(dilation))  # type: ignore[arg-type]


def integrate_and_fire(membrane: NDArray[np.int64], thresholds: NDArray[np.int32]) -> list[NDArray[np.uint8]]:
    """Binary spikes of D steps, in integers: soft reset by the distance of the thresholds (D, C), which are evenly spaced.

    The neuron is charged with the membrane at the first step, from half a distance, and fires while a whole one is left.
    """
    levels = len(thresholds)
    first = thresholds[0].astype(np.int64)
    distance = thresholds[1].astype(np.int64) - first if levels > 1 else np.ones_like(first)
    potential = membrane - first + distance
    steps = []
    for _ in range(levels):
        steps.append((potential >= distance).astype(np.uint8))
        potential = potential - distance * steps[-1]
    return steps


def to_integer(
    network: nn.Module,
    calibration: Iterable[SparseTensor],
    *,
    call: Callable[[Any], Any] | None = None,
    facts: dict[str, Any] | None = None,
) -> IntegerNetwork:
    """A network in integers: int8 weights, int32 membranes, no training needed.

    Each output channel has a weight scale of its own, with the normalisation behind folded in. The sparse part alone is taken:
    a classifier with its head and pool, a U-Net, the backbone of a detector. No sum can overflow, which is proved layer by layer
    from the weights and the levels of the neurons before anything runs.

    Args:
        network: of layers of this package, for one time step, with neurons that spike (``ILIF``, or binary ones from rest).
        calibration: inputs like those to come: their largest value of each channel sets its fixed point, with a factor of two
            to spare. Values beyond are clipped, and counted in the result.
        call: what to run, where it is not the network itself: takes a SparseTensor.
        facts: to be kept with the program: plain JSON.

    Raises:
        GraphError: a layer that has no integer form or whose sums could overflow; it is named. No calibration input.

    Example:
        >>> from spikevox.layers.backbones import Encoder
        >>> x = SparseTensor(torch.rand(2, 3), torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0]]), batch_size=1)
        >>> to_integer(Encoder("T", in_channels=3), [x])(x).output
        SparseTensor(1 sites, 128 channels, batch_size=1, ...)
    """
    samples = list(calibration)
    if not samples:
        raise GraphError(
            "a network in integers needs calibration inputs: the fixed point of each channel follows them."
        )
    dtype = next((p.dtype for p in network.parameters() if p.is_floating_point()), samples[0].features.dtype)
    graph = record(network, call=call, example=samples[0].replace(samples[0].features.to(dtype)))
    nodes, result = _numbered(graph.result)
    plan = make_plan(graph, list(dict.fromkeys(nodes)))
    names = _names(graph.result)
    return IntegerNetwork(lower(graph, plan, _fraction(samples), list(zip(names, nodes, strict=True)), facts), result)


def _fraction(samples: list[SparseTensor]) -> NDArray[np.int32]:
    """(C,) places behind the point that leave the largest value of each channel below 2^14."""
    largest = torch.stack([_largest(x) for x in samples]).amax(dim=0).double().numpy()
    if not np.isfinite(largest).all():
        raise GraphError("a calibration input has features that are not finite.")
    places = np.floor(14 - np.log2(np.maximum(largest, 2.0 ** (14 - _LARGEST_FRACTION))))
    return places.astype(np.int32)


def _largest(x: SparseTensor) -> Tensor:
    rows = x.features.reshape(-1, x.features.shape[-1])
    return rows.abs().amax(dim=0) if len(rows) else rows.new_zeros(rows.shape[-1])


def _numbered(result: Any) -> tuple[list[int], Any]:
    """Nodes of the outputs, and the result with their numbers in the place of the nodes."""
    nodes: list[int] = []

    def number(node: int) -> Output:
        nodes.append(node)
        return Output(len(nodes) - 1)

    return nodes, _each(result, number)


def _names(result: Any, path: str = "") -> list[str]:
    """Where each output stands in the result: keys, fields and positions, with points between."""
    if isinstance(result, Output):
        return [path]
    if isinstance(result, dict):
        parts = [(str(key), value) for key, value in result.items()]
    elif hasattr(result, "_fields"):
        parts = list(zip(result._fields, result, strict=True))
    else:
        parts = [(str(position), value) for position, value in enumerate(result)]
    return [name for key, value in parts for name in _names(value, f"{path}.{key}" if path else key)]


def fill(result: Any, values: list[Any]) -> Any:
    """The structure of a result with values in the place of its outputs."""
    return _each(result, lambda number: values[number])


def _each(result: Any, make: Callable[[int], Any]) -> Any:
    if isinstance(result, Output):
        return make(result.node)
    if isinstance(result, dict):
        return {key: _each(value, make) for key, value in result.items()}
    if hasattr(result, "_fields"):
        return type(result)(*(_each(value, make) for value in result))
    return type(result)(_each(value, make) for value in result)
