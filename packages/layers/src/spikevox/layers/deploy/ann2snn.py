"""From rectified units to integer spikes, without training: scales from calibration data (threshold balancing).

A neuron that fires integers stands for ``max(0, x)`` up to a step: ``s S(x / s)`` with ``S = floor(clamp(u, 0, D) + 0.5)``. The
scale ``s`` of a channel goes into the weights: layers that write a membrane are divided by it, layers that read its spikes are
multiplied by it. Membranes that are added up, and all units that read them, share one scale a channel.
"""

import copy
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spikevox.layers.conv import SparseConvolution
from spikevox.layers.errors import GraphError
from spikevox.layers.graph import Graph, Node, record
from spikevox.layers.neurons.integer import ILIF
from spikevox.layers.neurons.neuron import Neuron
from spikevox.layers.neurons.rectified import ReLU
from spikevox.layers.pool import GlobalPool, LocalPool3d
from spikevox.layers.sparse_tensor import SparseTensor, features_of

# Of the largest value: what the highest level may stand for.
_SHARES = torch.linspace(0.1, 1.1, 41).tolist()
# Rows of a unit that its scale is taken from.
_ROWS = 8192


class ConvertedUnit(NamedTuple):
    """A rectified unit that fires now.

    Attributes:
        name: path of the module.
        scale: mean of its channels' scales: what one spike stands for.
        error: root mean square of the difference, as a share of that of the values, on the calibration data.
    """

    name: str
    scale: float
    error: float


class Conversion(NamedTuple):
    """A network of integer spikes.

    Attributes:
        network: a copy in evaluation mode.
        units: what was converted, in order.
    """

    network: nn.Module
    units: tuple[ConvertedUnit, ...]


def to_spiking(
    network: nn.Module,
    calibration: Iterable[SparseTensor],
    *,
    levels: int = 8,
    call: Callable[[nn.Module, Any], Any] | None = None,
) -> Conversion:
    """Replaces rectified units by neurons of integer spikes.

    Args:
        network: of layers of this package, with :class:`~spikevox.layers.ReLU` units.
        calibration: inputs like those to come.
        levels: D of the neurons.
        call: what to run: takes the network and a SparseTensor. By default the network itself.

    Raises:
        GraphError: nothing to convert, or a unit or layer whose scale cannot go into weights; it is named.

    Example:
        >>> from spikevox.layers.backbones import Encoder
        >>> x = SparseTensor(torch.rand(2, 3), torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0]]), batch_size=1)
        >>> len(to_spiking(Encoder("T", in_channels=3, neuron="relu"), [x]).units)
        18
    """
    samples = list(calibration)
    if not samples:
        raise GraphError("a conversion needs calibration inputs: scales follow what the units see.")
    result = copy.deepcopy(network).eval()
    run = (lambda x: result(x)) if call is None else (lambda x: call(result, x))
    graph = record(result, call=run, example=samples[0])
    groups = _Groups(graph)
    if not groups.units:
        raise GraphError("converted nothing: the network has no rectified unit.")
    seen = _seen(groups.units, samples, run)
    scales = _scales(groups, seen, levels)
    units = tuple(_report(groups, index, seen[index], scales, levels) for index in groups.units)
    _rescale(graph, groups, scales)
    _replace(result, {id(node.module) for node in groups.units.values()}, levels)
    return Conversion(result, units)


class _Groups:
    """Which membranes share a scale: each node is parts, a part is a group of so many channels."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.parent = list(range(len(graph.nodes)))
        self.parts: list[list[tuple[int, int]]] = []
        self.units: dict[int, Node] = {}
        for index, node in enumerate(graph.nodes):
            self.parts.append(self._parts(index, node))
        fixed = self.find(0)
        for index, node in self.units.items():
            if any(self.find(group) == fixed for group, _ in self.parts[index]):
                raise GraphError(f"{node.name}: its unit reads the input, whose scale no layer writes.")

    def find(self, group: int) -> int:
        """The group that a group has gone into."""
        while self.parent[group] != group:
            group = self.parent[group]
        return group

    def _parts(self, index: int, node: Node) -> list[tuple[int, int]]:
        module = node.module
        before = [self.parts[i] for i in node.inputs]
        if node.kind == "concatenate":
            return [part for parts in before for part in parts]
        if node.kind == "add":
            first, second = before
            if [size for _, size in first] != [size for _, size in second]:
                raise GraphError(f"{node.name}: sums of channels that are joined differently cannot be scaled.")
            for (one, _), (other, _) in zip(first, second, strict=True):
                self.parent[max(self.find(one), self.find(other))] = min(self.find(one), self.find(other))
            return first
        if isinstance(module, ReLU | nn.ReLU):
            self.units[index] = node
            return before[0]
        if isinstance(module, GlobalPool | LocalPool3d):
            return before[0]
        if isinstance(module, Neuron):
            raise GraphError(f"{node.name}: it fires already; networks of rectified units alone are converted.")
        return [(index, node.channels)]


def _seen(units: dict[int, Node], samples: list[SparseTensor], run: Callable[[Any], Any]) -> dict[int, Tensor]:
    """(rows, C) of what each unit reads, from all samples."""
    found: dict[int, list[Tensor]] = {index: [] for index in units}
    most = max(1, _ROWS // len(samples))

    def keep(index: int) -> Any:
        def hook(_module: nn.Module, inputs: Any) -> None:
            rows = features_of(inputs[0]).detach()
            step = -(-len(rows) // most) or 1
            found[index].append(rows[::step].float())

        return hook

    modules = {id(node.module) for node in units.values()}
    if len(modules) != len(units):
        raise GraphError("a unit is used at several places: give each place a unit of its own.")
    hooks = [node.module.register_forward_pre_hook(keep(index)) for index, node in units.items() if node.module]
    try:
        with torch.no_grad():
            for x in samples:
                run(x)
    finally:
        for hook in hooks:
            hook.remove()
    return {index: torch.cat(rows) for index, rows in found.items()}


def _scales(groups: _Groups, seen: dict[int, Tensor], levels: int) -> dict[int, Tensor]:
    """(C,) scale of each group that units read: the least squared error over all of them."""
    values: dict[int, list[Tensor]] = {}
    for index, rows in seen.items():
        sizes = [size for _, size in groups.parts[index]]
        for (group, _), part in zip(groups.parts[index], rows.split(sizes, dim=1), strict=True):
            values.setdefault(groups.find(group), []).append(part)
    return {group: _best_scale(torch.cat(rows), levels) for group, rows in values.items()}


def _best_scale(rows: Tensor, levels: int) -> Tensor:
    """(C,) scale for membranes (N, C)."""
    largest = rows.amax(dim=0).clamp(min=1e-6)
    best, error = largest / levels, torch.full_like(largest, torch.inf)
    for share in _SHARES:
        scale = largest * (share / levels)
        found = (_fired(rows, scale, levels) - rows.clamp(min=0)).square().sum(dim=0)
        better = found < error
        best, error = torch.where(better, scale, best), torch.where(better, found, error)
    return best


def _fired(rows: Tensor, scale: Tensor, levels: int) -> Tensor:
    return ((rows / scale).clamp(0, levels) + 0.5).floor() * scale


def _of(groups: _Groups, scales: dict[int, Tensor], index: int) -> Tensor:
    """(C,) scale of a node's channels; 1 where no unit reads them."""
    parts = [scales.get(groups.find(group), torch.ones(size)) for group, size in groups.parts[index]]
    return torch.cat(parts)


def _report(groups: _Groups, index: int, rows: Tensor, scales: dict[int, Tensor], levels: int) -> ConvertedUnit:
    scale = _of(groups, scales, index)
    wanted = rows.clamp(min=0)
    error = (_fired(rows, scale, levels) - wanted).square().mean().sqrt()
    share = float(error / wanted.square().mean().sqrt().clamp(min=1e-12))
    return ConvertedUnit(groups.units[index].name.partition(" ")[0], float(scale.mean()), share)


@torch.no_grad()
def _rescale(graph: Graph, groups: _Groups, scales: dict[int, Tensor]) -> None:
    """Divides what writes a membrane by its scale, and multiplies what reads it."""
    used: set[int] = set()
    for index, node in enumerate(graph.nodes):
        module = node.module
        if not isinstance(module, SparseConvolution | nn.Linear | nn.BatchNorm1d):
            continue
        write, read = _of(groups, scales, index), _of(groups, scales, node.inputs[0])
        if bool((write == 1).all()) and bool((read == 1).all()):
            continue
        if id(module) in used:
            raise GraphError(f"{node.name}: it is used at several places, whose scales differ.")
        used.add(id(module))
        _scale_layer(node.name, module, read.to(module.weight.dtype), write.to(module.weight.dtype))


def _scale_layer(name: str, module: Any, read: Tensor, write: Tensor) -> None:
    if isinstance(module, nn.BatchNorm1d):
        if bool((read != 1).any()):
            raise GraphError(f"{name}: a normalisation that reads a membrane which units read too cannot be scaled.")
        module.weight.div_(write)
    elif isinstance(module, nn.Linear):
        module.weight.mul_(read).div_(write[:, None])
    elif module.groups != 1:
        raise GraphError(f"{name}: weights of a convolution in groups are not scaled.")
    else:
        module.weight.mul_(read[:, None]).div_(write)
    if module.bias is not None:
        module.bias.div_(write)


def _replace(network: nn.Module, units: set[int], levels: int) -> None:
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if id(child) in units:
                module._modules[name] = ILIF(levels)
