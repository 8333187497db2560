"""What the published script of E-3DSNN would state as a network's energy: its stem alone, dense, without a firing rate."""

from typing import NamedTuple

from spikevox.layers.energy.counts import OperationCounts

_PICOJOULES = 4.6


class Published(NamedTuple):
    """The script's figures, a sample.

    Attributes:
        flops: it calls so ``2 pairs C_out C_out - N_out`` of each convolution of the stem.
        picojoules: 4.6 for each of these, though each product was counted twice.
        layers: convolutions that were found to be of the stem.
    """

    flops: float
    picojoules: float
    layers: int


def published_stem(counts: OperationCounts) -> Published:
    """The stem's figures as the script makes them.

    Its other look-ups find nothing, so the rest of the network counts 0. The stated figures are met where the first convolution
    counts as if it read as many channels as it makes. Convolutions belong to the stem where a part of their path is ``stem``.
    """
    stem = [x for x in counts.layers if x.kind == "convolution" and "stem" in x.name.split(".")]
    flops = sum(2 * x.pairs * x.out_channels**2 - x.out_rows for x in stem) / counts.samples
    return Published(flops, flops * _PICOJOULES, len(stem))
