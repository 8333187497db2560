"""Networks set to fire at a given rate: every spike layer gives the same share of values that are not zero."""

from typing import Any

import torch
from torch import Tensor, nn

from spikevox.layers import BatchNorm, SparseTensor
from spikevox.layers.graph import Graph, record
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


def set_rate(network: nn.Module, call: Any, x: SparseTensor, share: float, rounds: int = 24) -> dict[str, float]:
    """Draws the statistics of all normalisations from ``x`` and moves their biases until each neuron fires at ``share``.

    Returns:
        share of values that are not zero, a neuron's name each.
    """
    graph = record(network, call=call)
    neurons = [node for node in graph.nodes if isinstance(node.module, ILIF)]
    inputs: dict[str, Tensor] = {}
    hooks = [
        node.module.register_forward_pre_hook(lambda _, args, name=node.name: inputs.update({name: args[0].features}))
        for node in neurons
        if node.module is not None
    ]
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    shares: dict[str, float] = {}
    try:
        for _ in range(rounds):
            for norm in norms:
                norm.momentum = 1.0
            network.train()
            with torch.no_grad():
                call(x)
            network.eval()
            with torch.no_grad():
                call(x)
            shares = {name: float((u >= 0.5).float().mean()) for name, u in inputs.items()}
            if all(abs(found - share) <= 0.005 for found in shares.values()):
                break
            moved: set[int] = set()
            for node in neurons:
                norm = _norm_before(graph, node.inputs[0])
                if norm is not None and id(norm) not in moved:
                    moved.add(id(norm))
                    values = inputs[node.name].flatten()
                    values = values[:: max(1, len(values) // SAMPLE)]
                    norm.bias.data += 0.5 - values.kthvalue(int((1 - share) * (len(values) - 1)) + 1).values
    finally:
        for hook in hooks:
            hook.remove()
    return shares
