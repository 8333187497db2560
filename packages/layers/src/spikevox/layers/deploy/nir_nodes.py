"""Nodes that spikevox adds to the Neuromorphic Intermediate Representation (NIR, Nature Communications 2024).

A graph is that of one site: shapes are (C,), as NIR knows no sites; how sites come about stands in the convolutions. All else is
plain NIR: ``Affine`` and ``Linear`` at every site, ``LIF`` and ``IF`` of hard reset, ``Scale`` by one where branches add up.

| node | fields |
|---|---|
| `SpikevoxConvolution` | `weight` (K, C_in / groups, C_out), first spatial axis fastest; `bias` (C_out,) or (0,) |
| | `groups`; `kind`: `submanifold`, `strided` or `inverse`; `kernel_size`, `stride`, `padding`, `dilation` (3,) along x, y, z |
| | `floor`: sites are floor(coordinate / stride); `extent` (3,) of the grid, -1 for none |
| | `like`: of an inverse one, a node on the sites to return to |
| `SpikevoxILIF` | `levels` D, `decay`, `channels`: S = floor(clamp(U, 0, D) + 0.5), U <- decay (U - S) + x |
| `SpikevoxLIF` | `decay`, `threshold`, `channels`: U <- decay V + x, S = U >= threshold, V = U - threshold S |
| `SpikevoxNormalisation` | `scale`, `shift` (C,): y = scale x + shift |
| `SpikevoxConcatenation` | `sources`: names of nodes, comma between, in the order of their channels; `channels` |
| `SpikevoxGlobalPool` | `kind`: `mean`, `sum` or `max` over all sites of a sample; `channels` |
"""

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray


def _of(channels: int, name: str) -> dict[str, NDArray[np.int64]]:
    return {name: np.array([int(channels)])}


@dataclass(eq=False)
class SpikevoxConvolution(nir.NIRNode):
    """A sparse convolution."""

    weight: NDArray[Any]
    bias: NDArray[Any]
    kind: str
    kernel_size: NDArray[np.int64]
    stride: NDArray[np.int64]
    padding: NDArray[np.int64]
    dilation: NDArray[np.int64]
    groups: int
    floor: int
    extent: NDArray[np.int64]
    like: str

    def __post_init__(self) -> None:
        self.input_type = _of(self.weight.shape[1] * int(self.groups), "input")
        self.output_type = _of(self.weight.shape[2], "output")


@dataclass(eq=False)
class SpikevoxILIF(nir.NIRNode):
    """A neuron of integer spikes."""

    levels: int
    decay: float
    channels: int

    def __post_init__(self) -> None:
        self.input_type, self.output_type = _of(self.channels, "input"), _of(self.channels, "output")


@dataclass(eq=False)
class SpikevoxLIF(nir.NIRNode):
    """A binary neuron of soft reset."""

    decay: float
    threshold: float
    channels: int

    def __post_init__(self) -> None:
        self.input_type, self.output_type = _of(self.channels, "input"), _of(self.channels, "output")


@dataclass(eq=False)
class SpikevoxNormalisation(nir.NIRNode):
    """A normalisation in evaluation mode."""

    scale: NDArray[Any]
    shift: NDArray[Any]

    def __post_init__(self) -> None:
        self.input_type, self.output_type = _of(len(self.scale), "input"), _of(len(self.scale), "output")


@dataclass(eq=False)
class SpikevoxConcatenation(nir.NIRNode):
    """Channels side by side: of several inputs, which NIR would add up."""

    sources: str
    channels: int

    def __post_init__(self) -> None:
        # NIR compares the shapes at the ends of an edge, and inputs have fewer channels: it is told none.
        self.input_type, self.output_type = {"input": None}, _of(self.channels, "output")


@dataclass(eq=False)
class SpikevoxGlobalPool(nir.NIRNode):
    """A pool over all sites of a sample."""

    kind: str
    channels: int

    def __post_init__(self) -> None:
        self.input_type, self.output_type = _of(self.channels, "input"), _of(self.channels, "output")


NODES = {
    node.__name__: node
    for node in (
        SpikevoxConvolution,
        SpikevoxILIF,
        SpikevoxLIF,
        SpikevoxNormalisation,
        SpikevoxConcatenation,
        SpikevoxGlobalPool,
    )
}
