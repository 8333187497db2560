"""One forward pass, watched: layers by hooks, everything between them as operations of torch."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils.weak import WeakTensorKeyDictionary

from spikevox.layers.backends.minkowski import is_minkowski_tensor

# Registering is what these are imported for.
from spikevox.layers.energy import dense_counters, minkowski_counters, operations, sparse_counters  # noqa: F401
from spikevox.layers.energy.counter import REALS, Call, FanOut, Tag, counter_of
from spikevox.layers.energy.counts import LayerCount, OperationCounts
from spikevox.layers.energy.scope import is_uncounted, noting
from spikevox.layers.errors import EnergyError
from spikevox.layers.sparse_tensor import SparseTensor, adopt, features_of


def count_operations(
    network: nn.Module, *inputs: Any, call: Callable[..., Any] | None = None, samples: int | None = None
) -> OperationCounts:
    """Runs a network once, in evaluation mode, and counts what each layer did.

    Layers are counted by the counter of their class, see :func:`register_counter`. Between layers, sums and maxima are counted,
    moves of values cost nothing, and any other arithmetic on features is an error; it is found wherever torch does it, in
    functions that a forward pass calls too. What a module computes from features without torch is found by its result. Integers
    up to 2^53 are exact.

    Args:
        network: any module.
        *inputs: of the call: tensors, sparse tensors, or lists and tuples of them.
        call: what to run, where it is not the network itself; takes the inputs.
        samples: that the inputs hold, by default the batch size of the first sparse tensor, or 1.

    Raises:
        EnergyError: arithmetic on features that no counter counts, or a module with parameters without a counter; it names the
            module.

    Example:
        >>> from spikevox.layers import ILIF, Linear
        >>> network = nn.Sequential(ILIF(levels=4), Linear(2, 3, bias=False))
        >>> counts = count_operations(network, torch.tensor([[0.0, 1.0], [3.0, 9.0]]))
        >>> [(layer.name, layer.kind, layer.macs, layer.acs) for layer in counts.layers]
        [('0', 'neuron', 0, 0), ('1', 'linear', 12, 24)]
    """
    found = [adopt(x)[0] for x in _parts(inputs) if isinstance(x, SparseTensor) or is_minkowski_tensor(x)]
    watch = _Watch(network, inputs)
    met: list[str] = []
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        with torch.no_grad(), noting(met), watch, _Questions(watch):
            try:
                returned = (call or network)(*inputs)
            finally:
                watch.look()
        watch.check_result(returned)
    finally:
        watch.close()
        for module in training:
            module.training = True
    count = (found[0].batch_size if found else 1) if samples is None else samples
    return OperationCounts(tuple(watch.layers), count, tuple((*k, v) for k, v in watch.apart.items()), tuple(met))


class _Watch(TorchDispatchMode):
    """Follows features from the inputs on: a tensor has a tag exactly where features went into it."""

    def __init__(self, network: nn.Module, inputs: Any) -> None:
        super().__init__()
        self.layers: list[LayerCount] = []
        self.apart: dict[tuple[str, str], int] = {}
        self._tags = WeakTensorKeyDictionary()
        self._fans = FanOut()
        self._inside: list[str] = []
        self._counted = 0
        self._paused = False
        self._away = ExitStack()
        for tensor in _features(inputs):
            self._tags[tensor] = REALS
        self._hooks = [hook for name, module in network.named_modules() for hook in self._watch(name, module)]

    def close(self) -> None:
        """Removes the hooks."""
        for hook in self._hooks:
            hook.remove()

    def look_away(self) -> None:
        """Lets torch run unwatched, which is much faster, until :meth:`look`."""
        self._away.enter_context(_disable_current_modes())
        self._away.enter_context(torch._C.DisableTorchFunction())

    def look(self) -> None:
        """Watches again."""
        self._away.close()

    def check_result(self, returned: Any) -> None:
        """Raises EnergyError where the network's result was made without layers that are counted."""
        if any(tensor not in self._tags for tensor in _features(returned)):
            raise EnergyError(_UNSEEN.format("the network"))

    @property
    def _place(self) -> str:
        return self._inside[-1] if self._inside else "the call"

    @contextmanager
    def pause(self) -> Iterator[None]:
        """What runs inside is no part of the network."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def _watch(self, name: str, module: nn.Module) -> list[Any]:
        counter = counter_of(module)
        kind = type(module).__name__
        path = f"{name} ({kind})" if name else kind
        own = [key for key, value in module._parameters.items() if value is not None]

        def before(_module: nn.Module, args: Any, kwargs: Any) -> None:
            if counter is None and own and not self._counted and not is_uncounted():
                raise EnergyError(
                    f"{path} has parameters of its own ({', '.join(own)}) and no counter: say what it costs with "
                    f"spikevox.layers.energy.register_counter({kind})."
                )
            self._inside.append(path)
            if counter is not None:
                self._counted += 1
                if self._counted == 1:
                    self.look_away()

        def after(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            if counter is not None:
                self._counted -= 1
            if not self._counted and not is_uncounted():
                if counter is None:
                    self._check_output(path, (args, kwargs), output)
                else:
                    # What a counter computes is not looked at either.
                    self._count(counter, name or kind, module, args, kwargs, output)
            if not self._counted:
                self.look()
            self._inside.pop()

        return [
            module.register_forward_pre_hook(before, with_kwargs=True),
            module.register_forward_hook(after, with_kwargs=True),
        ]

    def _count(self, counter: Any, name: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        inputs = _features((args, kwargs))
        if inputs:
            self._pay(inputs[0])
        tag = self._tags.get(inputs[0], REALS) if inputs else REALS
        call = Call(module, name, args, kwargs, output, tag, self._fans, self.layers)
        layer = counter(call)
        if layer is not None:
            self.layers.append(layer)
        source = len(self.layers) - 1 if call.source and layer is not None else None
        for tensor in _features(output):
            # A layer that hands its input on, as dropout does in evaluation, leaves it what it was.
            if not any(tensor is one for one in inputs):
                self._tags[tensor] = Tag(call.emitted, source)

    def _check_output(self, path: str, inputs: Any, output: Any) -> None:
        known = any(tensor in self._tags for tensor in _features(inputs))
        if known and any(tensor not in self._tags for tensor in _features(output)):
            raise EnergyError(_UNSEEN.format(path))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Lets torch do its work and notes what it was."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not self._paused and not self._counted and not is_uncounted():
            self._note(operations.name_of(func), args, kwargs, result)
        return result

    def _note(self, name: str, args: Any, kwargs: Any, result: Any) -> None:
        read = operations.floats((args, kwargs))
        inputs = [tensor for tensor in read if tensor in self._tags]
        made = operations.floats(result)
        if not inputs:
            if read and made and name not in operations.MOVES:
                key = (self._place, name)
                self.apart[key] = self.apart.get(key, 0) + sum(tensor.numel() for tensor in made)
            return
        for tensor in inputs:
            self._pay(tensor)
        tag = self._joined(name, inputs, read)
        summed = name not in operations.MOVES or (
            name.startswith("index_put") and True in (*args[3:4], kwargs.get("accumulate"))
        )
        if summed:
            tag = self._sum(name, args, kwargs, inputs, made, tag)
        for tensor in made:
            self._tags[tensor] = tag
            # A view that is written into: its base holds the values.
            if name.endswith("_") and tensor._base is not None:
                self._tags[tensor._base] = tag

    def _sum(self, name: str, args: Any, kwargs: Any, inputs: list[Tensor], made: list[Tensor], tag: Tag) -> Tag:
        additions = operations.additions(name, args, kwargs, inputs, made[0]) if made else None
        if name.startswith("index_put"):
            additions = args[2].numel()
        if additions is None:
            raise EnergyError(
                f"{self._place}: its forward pass does arithmetic on features that nothing counts (torch's {name}). Put it "
                "into a module that has a counter, see spikevox.layers.energy.register_counter; what is no part of the "
                "network goes into spikevox.layers.energy.uncounted."
            )
        if name == "sum" and made[0].ndim == 0:
            # Whether all values are finite is asked this way: the sum counts where it is used for more.
            return Tag(tag.depth, None, (self._place, additions))
        self._add_sum(self._place, additions, operations.divisions(name, made[0]))
        return Tag(tag.depth, None)

    def _add_sum(self, place: str, additions: int, multiplications: int = 0) -> None:
        self.layers.append(LayerCount(place, "sum", additions=additions, multiplications=multiplications))

    def _pay(self, tensor: Tensor) -> None:
        tag = self._tags.get(tensor)
        if tag is not None and tag.owed is not None:
            self._add_sum(*tag.owed)
            self._tags[tensor] = Tag(tag.depth, tag.source)

    def _joined(self, name: str, inputs: list[Tensor], read: list[Tensor]) -> Tag:
        tags = [self._tags[tensor] for tensor in inputs]
        depth = 0
        if all(tag.depth for tag in tags) and operations.keeps_spikes(name):
            depths = [tag.depth for tag in tags]
            depth = sum(depths) if name in operations.ADDITIONS else max(depths)
        alone = len(read) == 1 and name in operations.MOVES
        return Tag(depth, tags[0].source if alone else None)


class _Questions(TorchFunctionMode):
    """Whether values are finite is asked of a network's features, and is no part of it."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") not in ("isfinite", "isnan", "isinf"):
            return func(*args, **(kwargs or {}))
        with self._watch.pause():
            return func(*args, **(kwargs or {}))


_UNSEEN = (
    "{0}: its output does not come from layers that are counted, nor from operations of torch: register what it does with "
    "spikevox.layers.energy.register_counter."
)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [x for part in value.values() for x in _parts(part)]
    if isinstance(value, list | tuple):
        return [x for part in value for x in _parts(part)]
    return [value]


def _features(value: Any) -> list[Tensor]:
    """Floating features of the tensors, sparse or plain, in a value."""
    found = []
    for part in _parts(value):
        try:
            features = features_of(part)
        except TypeError:
            continue
        if features.is_floating_point():
            found.append(features)
    return found
