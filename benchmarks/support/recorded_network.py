"""A recorded network run node by node on another engine's tensors: what the opponents have in common."""

from typing import Any

from torch import Tensor, nn

from spikevox.encoding import VoxelBatch
from spikevox.layers import BatchNorm
from spikevox.layers.graph import Graph, Node
from spikevox.layers.neurons.integer import ILIF
from spikevox.layers.norm import fold_batch_norm


class RecordedNetwork(nn.Module):
    """Runs the nodes in their order and lets go of each result after its last reader, as a written network does.

    Args:
        graph: a recorded network, float32.
        fold: fold the batch normalisations into the layers before them.
    """

    def __init__(self, graph: Graph, *, fold: bool) -> None:
        super().__init__()
        self.graph = graph
        self.fold = fold
        self.steps = nn.ModuleDict()
        self.folded: set[int] = set()
        last_reader: dict[int, int] = {}
        for index, node in enumerate(graph.nodes):
            last_reader.update(dict.fromkeys(node.inputs, index))
        self._done = [[i for i, reader in last_reader.items() if reader == step] for step in range(len(graph.nodes))]

    def folded_weights(self, index: int, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Weight (..., C_out) and bias of a layer, with the normalisation behind it where it is to be folded."""
        following = self.graph.nodes[index + 1] if index + 1 < len(self.graph.nodes) else None
        if (
            not self.fold
            or following is None
            or not isinstance(following.module, BatchNorm)
            or following.inputs != (index,)
        ):
            return weight, bias
        self.folded.add(index + 1)
        return fold_batch_norm(weight, bias, following.module)

    def prepare(self, batch: VoxelBatch, derived: dict[int, Tensor]) -> Any:
        """Coordinates as the engine takes them; not part of its time.

        Args:
            batch: the input.
            derived: coordinates of each set of sites of the graph.
        """
        raise NotImplementedError

    def table(self, value: Any, sites: int, prepared: Any) -> tuple[Tensor | None, Tensor]:
        """Coordinates (N, 4) int32 as our engine counts them, and features of a result; ``None`` where rows are samples."""
        raise NotImplementedError

    def run(self, first: Any, context: Any, *, keep: bool = False) -> list[Any]:
        """What each node gives: of all nodes with ``keep``, else ``None`` for those that others have read."""
        values: list[Any] = [first]
        for index, node in enumerate(self.graph.nodes[1:], 1):
            values.append(self.step(index, node, [values[i] for i in node.inputs], context))
            if not keep:
                for i in self._done[index]:
                    values[i] = None
        return values

    def step(self, index: int, node: Node, inputs: list[Any], context: Any) -> Any:
        """The result of one node."""
        raise NotImplementedError


def integer_spikes(membrane: Tensor, neuron: ILIF) -> Tensor:
    """I-LIF as inference needs it: one table for the result, no graph."""
    return membrane.clamp(0, neuron.levels).add_(0.5).floor_()
