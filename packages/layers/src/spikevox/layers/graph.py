"""One recorded forward pass: which layer takes what, on which sites. Engines read it; none walks modules itself."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from spikevox.layers.backends.geometry import KernelGeometry, Triple
from spikevox.layers.conv import SparseConv3d, SparseConvolution, SparseInverseConv3d
from spikevox.layers.errors import GraphError
from spikevox.layers.neurons.neuron import Neuron
from spikevox.layers.pool import GlobalPool, LocalPool3d
from spikevox.layers.sparse_tensor import SparseTensor, features_of

Kind = Literal["input", "layer", "add", "concatenate"]
LAYERS = (SparseConvolution, nn.BatchNorm1d, Neuron, nn.Linear, nn.ReLU, LocalPool3d, GlobalPool)
# Rows of a tensor that has one for each sample, instead of one for each site.
SAMPLES = -1

_ADD = {"add", "__add__", "__radd__", "__iadd__", "add_"}
_CONCATENATE = {"cat", "concat", "concatenate"}
# Functions that hand the same values on.
_SAME = {"contiguous", "detach", "dropout", "feature_dropout", "clone", "alias"}
# Questions about a tensor that its values do not enter.
_FACTS = {"__get__", "__len__", "dim", "size", "numel", "is_contiguous", "stride", "is_floating_point", "data_ptr"}


class SitesOrigin(NamedTuple):
    """How a set of sites comes about. The first set of a graph is the input's.

    Attributes:
        parent: index of the set that it is derived from, ``None`` for the input's.
        geometry: of the strided convolution that leads to it; ``None`` for the input's.
        floor: sites are ``floor(coordinate / stride)``, not all that the convolution touches.
        extent: of the parent's grid, where it has bounds.
        tensor_stride: distance of neighbouring sites along x, y, z.
    """

    parent: int | None
    geometry: KernelGeometry | None
    floor: bool
    extent: Triple | None
    tensor_stride: Triple

    @property
    def identity(self) -> Any:
        """Equal for sets that are the same whatever the input."""
        # Rounded sites depend on the stride alone, unless bounds are counted with the kernel.
        how: Any = self.geometry
        if self.geometry is not None and self.floor and self.extent is None:
            how = self.geometry.stride
        return self.parent, self.floor, self.extent, how


@dataclass(frozen=True)
class Node:
    """Something that makes features.

    Attributes:
        kind: a layer, the input, a sum of two tensors, or channels side by side.
        name: path of the module that did it; for sums and concatenations, of the one whose forward pass they stand in.
        module: the layer, ``None`` for other kinds.
        inputs: nodes that are read, in order.
        sites: index into the graph's sites, or ``SAMPLES``.
        channels: C.
    """

    kind: Kind
    name: str
    module: nn.Module | None
    inputs: tuple[int, ...]
    sites: int
    channels: int


@dataclass(frozen=True)
class Output:
    """A tensor among the results of a network.

    Attributes:
        node: index of the node that makes it.
    """

    node: int


@dataclass(frozen=True)
class Graph:
    """A network as nodes in the order in which they ran.

    Attributes:
        nodes: node 0 is the input.
        sites: sets of sites that nodes refer to.
        result: what the network returned, with an :class:`Output` in the place of each tensor.
    """

    nodes: tuple[Node, ...]
    sites: tuple[SitesOrigin, ...]
    result: Any


def record(
    network: nn.Module, *, call: Callable[[Any], Any] | None = None, example: SparseTensor | None = None
) -> Graph:
    """Runs a network once, in evaluation mode, and tells what it did.

    Args:
        network: made of layers of this package; its own classes may add, concatenate and branch.
        call: what to run, where it is not the network itself: takes a SparseTensor.
        example: an input like those to come; by default a few sites with as many channels as the first layer takes.

    Raises:
        GraphError: an operation that is none of a layer's, a sum or a concatenation; it names the module.
    """
    example = _example(network) if example is None else example
    training = [module for module in network.modules() if module.training]
    recorder = _Recorder(network, example)
    network.eval()
    try:
        with torch.no_grad(), recorder:
            returned = (call or network)(example)
    finally:
        recorder.close()
        for module in training:
            module.training = True
    return Graph(tuple(recorder.nodes), tuple(recorder.sites), recorder.result(returned))


def _example(network: nn.Module) -> SparseTensor:
    for module in network.modules():
        if isinstance(module, SparseConvolution | nn.Linear):
            channels = module.in_channels if isinstance(module, SparseConvolution) else module.in_features
            axis = torch.arange(6)
            sites = torch.cartesian_prod(torch.zeros(1, dtype=torch.int64), axis, axis, axis)
            features = torch.zeros(len(sites), channels, dtype=module.weight.dtype)
            return SparseTensor(features, sites, batch_size=1, backend="torch_ops")
    raise GraphError("the network has no convolution and no linear layer: give an example input.")


class _Recorder(TorchFunctionMode):
    """Watches layers through hooks, and everything between them as torch functions."""

    def __init__(self, network: nn.Module, example: SparseTensor) -> None:
        super().__init__()
        if example.time_steps is not None:
            raise GraphError("a tensor with a time axis cannot be recorded: networks are recorded for one time step.")
        self.nodes: list[Node] = [Node("input", "the input", None, (), 0, example.features.shape[-1])]
        self.sites = [SitesOrigin(None, None, False, None, example.tensor_stride)]
        self._known: dict[int, int] = {id(example.features): 0}
        # Tensors stay alive while recording, so that no other takes the identity of one.
        self._kept: list[Tensor] = [example.features]
        self._inside: list[str] = []
        self._layers = 0
        self._hooks = [hook for name, module in network.named_modules() for hook in self._watch(name, module)]

    def close(self) -> None:
        """Removes the hooks."""
        for hook in self._hooks:
            hook.remove()

    def _watch(self, name: str, module: nn.Module) -> Iterable[Any]:
        layer = isinstance(module, LAYERS)
        path = f"{name} ({type(module).__name__})" if name else type(module).__name__

        def before(module: nn.Module, args: Any) -> None:
            self._inside.append(path)
            self._layers += layer

        def after(module: nn.Module, args: Any, kwargs: Any, result: Any) -> None:
            self._layers -= layer
            if layer and not self._layers:
                self._add_layer(module, args, kwargs, result)
            self._inside.pop()

        yield module.register_forward_pre_hook(before)
        yield module.register_forward_hook(after, with_kwargs=True)

    @property
    def _place(self) -> str:
        return self._inside[-1] if self._inside else "the call"

    def _node_of(self, x: Any) -> int:
        features = features_of(x)
        if id(features) not in self._known:
            raise GraphError(f"{self._place}: its input does not come from recorded layers.")
        return self._known[id(features)]

    def _add(self, kind: Kind, module: nn.Module | None, inputs: tuple[int, ...], sites: int, result: Tensor) -> None:
        self.nodes.append(Node(kind, self._place, module, inputs, sites, result.shape[-1]))
        self._known[id(result)] = len(self.nodes) - 1
        self._kept.append(result)

    def _add_layer(self, module: nn.Module, args: Any, kwargs: Any, result: Any) -> None:
        source = self._node_of(args[0])
        sites = self.nodes[source].sites
        if isinstance(module, GlobalPool):
            sites = SAMPLES
        elif isinstance(module, SparseInverseConv3d):
            like = kwargs.get("like", args[1] if len(args) > 1 else None)
            sites = self._finer(module, sites) if like is None else self.nodes[self._node_of(like)].sites
        elif isinstance(module, SparseConv3d):
            if module.extent == "input":
                raise GraphError(
                    f"{self._place}: extent='input' makes the output sites depend on how far a batch reaches, which is not "
                    "known before it is there: build the network with a grid of fixed extent."
                )
            sites = self._coarser(sites, module.geometry, module.sites == "stride", module.extent)
        elif isinstance(module, LocalPool3d):
            sites = self._coarser(sites, module.geometry, False, None)
        self._add("layer", module, (source,), sites, features_of(result))

    def _coarser(self, parent: int, geometry: KernelGeometry, floor: bool, extent: Triple | None) -> int:
        floor = floor or geometry.tiles
        stride = self.sites[parent].tensor_stride
        x, y, z = (t * s for t, s in zip(stride, geometry.stride, strict=True))
        origin = SitesOrigin(parent, geometry, floor, extent, (x, y, z))
        identities = [known.identity for known in self.sites]
        if origin.identity in identities:
            return identities.index(origin.identity)
        self.sites.append(origin)
        return len(self.sites) - 1

    def _finer(self, module: SparseInverseConv3d, sites: int) -> int:
        origin = self.sites[sites]
        if origin.parent is None or origin.geometry is None or origin.geometry.stride != module.geometry.stride:
            raise GraphError(f"{self._place}: the sites to return to are not those that its input came from.")
        return origin.parent

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Lets torch do its work and notes what it was."""
        kwargs = kwargs or {}
        before = [self._known[id(t)] for t in _tensors((args, kwargs)) if id(t) in self._known]
        result = func(*args, **kwargs)
        if before and not self._layers:
            self._add_function(getattr(func, "__name__", str(func)), before, args, kwargs, result)
        return result

    def _add_function(self, name: str, inputs: list[int], args: Any, kwargs: Any, result: Any) -> None:
        if not isinstance(result, Tensor):
            if name in _FACTS:
                return
        elif name in _SAME and len(inputs) == 1 and result.shape[-1] == self.nodes[inputs[0]].channels:
            self._known[id(result)] = inputs[0]
            self._kept.append(result)
            return
        elif len({self.nodes[i].sites for i in inputs}) == 1:
            sites = self.nodes[inputs[0]].sites
            equal = len({self.nodes[i].channels for i in inputs}) == 1
            if name in _ADD and len(inputs) == 2 and equal and kwargs.get("alpha", 1) == 1:
                self._add("add", None, tuple(inputs), sites, result)
                return
            channels = sum(self.nodes[i].channels for i in inputs)
            if name in _CONCATENATE and result.shape[-1] == channels and len(inputs) == len(args[0]):
                self._add("concatenate", None, tuple(inputs), sites, result)
                return
        raise GraphError(
            f"{self._place}: its forward pass calls torch's {name} on features. Only layers, sums of tensors on the same "
            "sites and concatenations of their channels can be recorded."
        )

    def result(self, returned: Any) -> Any:
        """What the network returned, with an :class:`Output` in the place of each tensor."""
        if isinstance(returned, SparseTensor | Tensor):
            features = features_of(returned)
            if id(features) not in self._known:
                raise GraphError("the network returns a tensor that does not come from recorded layers.")
            return Output(self._known[id(features)])
        if isinstance(returned, dict):
            return {key: self.result(value) for key, value in returned.items()}
        if isinstance(returned, tuple) and hasattr(returned, "_fields"):
            return type(returned)(*(self.result(value) for value in returned))
        if isinstance(returned, list | tuple):
            return type(returned)(self.result(value) for value in returned)
        raise GraphError(f"the network returns a {type(returned).__name__}; tensors, tuples, lists and dicts can be.")


def _tensors(value: Any) -> Iterable[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
