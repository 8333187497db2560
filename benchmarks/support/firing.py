"""How much networks fire, and networks set to fire at a given rate: the same share of nonzero values in every spike layer."""

from typing import Any

import torch
from torch import nn

from spikevox.layers import BatchNorm, SparseTensor
from spikevox.layers.graph import Graph, Node, record
from spikevox.layers.neurons.integer import ILIF
from spikevox.layers.sparse_tensor import features_of

# Values that a quantile is taken from.
SAMPLE = 200_000
# Shares of a neuron's values that are 0, 1, ... D spikes.
Levels = tuple[float, ...]


def levels(network: nn.Module, call: Any, x: SparseTensor) -> dict[str, Levels]:
    """Runs a network in evaluation mode and counts what each of its neurons emits, by name."""
    found: dict[str, Levels] = {}

    def watch(name: str) -> Any:
        def after(module: ILIF, args: Any, result: Any) -> None:
            spikes = features_of(result).flatten()
            counts = torch.bincount(spikes.to(torch.int64), minlength=module.levels + 1)
            found[name] = tuple((counts.double() / max(1, spikes.numel())).tolist())

        return after

    neurons = [(name, module) for name, module in network.named_modules() if isinstance(module, ILIF)]
    hooks = [module.register_forward_hook(watch(name)) for name, module in neurons]
    try:
        with torch.inference_mode():
            network.eval()
            call(x)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def proportions(found: dict[str, Levels]) -> list[float]:
    """Shares of 1, 2, ... D spikes among the values that are not zero, as the mean over neurons."""
    rows = [[share / max(1e-12, 1 - values[0]) for share in values[1:]] for values in found.values()]
    return [sum(column) / len(column) for column in zip(*rows, strict=True)]


def _norm_before(graph: Graph, index: int) -> BatchNorm | None:
    """The last normalisation whose bias moves the input of a neuron."""
    node = graph.nodes[index]
    if isinstance(node.module, BatchNorm):
        return node.module
    if node.kind in ("add", "concatenate"):
        found = [norm for i in sorted(node.inputs, reverse=True) if (norm := _norm_before(graph, i)) is not None]
        return found[0] if found else None
    return None


def set_rate(network: nn.Module, call: Any, x: SparseTensor, share: float, rounds: int = 4) -> None:
    """Draws the statistics of all normalisations from ``x`` and moves their biases until each neuron fires at ``share``.

    Each round goes through the network once: a neuron's input is moved before what comes behind it is computed. The spread
    of the inputs stays that of a fresh normalisation, which gives one to four spikes about as often as trained networks do.
    """
    graph = record(network, call=call)
    neurons = [node for node in graph.nodes if isinstance(node.module, ILIF)]

    def watch(node: Node) -> Any:
        norm = _norm_before(graph, node.inputs[0])
        joined = graph.nodes[node.inputs[0]].kind == "concatenate"

        def before(module: nn.Module, args: Any) -> None:
            features = args[0].features
            if norm is not None:
                values = features.flatten()
                values = values[:: max(1, len(values) // SAMPLE)]
                move = 0.5 - values.kthvalue(int((1 - share) * (len(values) - 1)) + 1).values
                norm.bias.data += move
                # Channels side by side are a copy: the next round meets them moved.
                if not joined:
                    features += move

        return before

    hooks = [node.module.register_forward_pre_hook(watch(node)) for node in neurons if node.module is not None]
    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.momentum = 1.0
    try:
        with torch.no_grad():
            network.train()
            for _ in range(rounds):
                call(x)
            network.eval()
    finally:
        for hook in hooks:
            hook.remove()
