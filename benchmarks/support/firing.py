"""Networks set to fire at a given rate: every spike layer gives the same share of values that are not zero."""

from typing import Any

import torch
from torch import nn

from spikevox.layers import BatchNorm, SparseTensor
from spikevox.layers.graph import Graph, Node, record
from spikevox.layers.neurons.integer import ILIF

# Values that a quantile is taken from.
SAMPLE = 200_000


def _norm_before(graph: Graph, index: int) -> BatchNorm | None:
    """The last normalisation whose bias moves the input of a neuron."""
    node = graph.nodes[index]
    if isinstance(node.module, BatchNorm):
        return node.module
    if node.kind in ("add", "concatenate"):
        found = [norm for i in sorted(node.inputs, reverse=True) if (norm := _norm_before(graph, i)) is not None]
        return found[0] if found else None
    return None


def set_rate(network: nn.Module, call: Any, x: SparseTensor, share: float, rounds: int = 4) -> dict[str, float]:
    """Draws the statistics of all normalisations from ``x`` and moves their biases until each neuron fires at ``share``.

    Each round goes through the network once: a neuron's input is moved before what comes behind it is computed.

    Returns:
        share of values that are not zero, a neuron's name each.
    """
    graph = record(network, call=call)
    neurons = [node for node in graph.nodes if isinstance(node.module, ILIF)]
    shares: dict[str, float] = {}

    def watch(node: Node) -> Any:
        norm = _norm_before(graph, node.inputs[0])
        joined = graph.nodes[node.inputs[0]].kind == "concatenate"

        def before(module: nn.Module, args: Any) -> None:
            features = args[0].features
            if module.training and norm is not None:
                values = features.flatten()
                values = values[:: max(1, len(values) // SAMPLE)]
                move = 0.5 - values.kthvalue(int((1 - share) * (len(values) - 1)) + 1).values
                norm.bias.data += move
                # Channels side by side are a copy: the next round meets them moved.
                if not joined:
                    features += move
            shares[node.name] = float((features >= 0.5).float().mean())

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
            call(x)
    finally:
        for hook in hooks:
            hook.remove()
    return shares
