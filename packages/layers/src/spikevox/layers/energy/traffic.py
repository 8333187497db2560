"""What a layer moves between memory and arithmetic, in bits: one stated way to run it, the same for spikes and controls.

Sums stay in registers until they are complete. Then, of each layer:

- weights: one for each product or event, where nothing is reused (a spike of level s fetches its weight once); or each once a
  sample, where all is: between these two lies every machine;
- inputs: of each pair the values of its input row, or its events alone (level and channel) where zeros are skipped;
- membranes: each complete sum is written once and read once by whoever comes next; a kept one is read and written once more;
  a shortcut reads two and writes one;
- outputs: what neurons emit: every value, or events alone;
- kernel maps: both rows of each pair, 32 bits each, where a kernel has more than one weight a pair of channels.
"""

from math import ceil, log2
from typing import NamedTuple

from spikevox.layers.energy.counts import LayerCount
from spikevox.layers.energy.forms import Form
from spikevox.layers.energy.table import Arithmetic

_ROW_BITS = 32


class Moved(NamedTuple):
    """Bits that were moved, and bits that their tensor takes as a whole, which tells the memory that it lies in.

    Attributes:
        bits: moved.
        size: of the tensor.
    """

    bits: int
    size: int


class Traffic(NamedTuple):
    """What a layer moves.

    Attributes:
        weights: read.
        inputs: activations read.
        membranes: sums and membranes, written and read.
        outputs: activations written.
        maps: kernel maps read.
    """

    weights: Moved
    inputs: Moved
    membranes: Moved
    outputs: Moved
    maps: Moved

    @property
    def bits(self) -> int:
        """All together."""
        return sum(moved.bits for moved in self)


_NOTHING = Moved(0, 0)


def traffic_of(layer: LayerCount, form: Form, arithmetic: Arithmetic) -> Traffic:
    """Bits that a layer moves in a form."""
    if layer.reads:
        return _weighted(layer, form, arithmetic)
    sums = arithmetic.sum_bits
    outputs, words = _NOTHING, 0
    if layer.membrane_updates:
        words = layer.membrane_updates + 2 * layer.state_updates
        width, number = _activation(layer, layer.depth, layer.out_channels, form, arithmetic)
        outputs = Moved(number * width, layer.values * width)
    elif layer.kind == "pool":
        words = layer.additions + layer.out_rows * layer.out_channels
    elif not layer.folded:
        words = 3 * layer.additions if layer.kind == "sum" else 2 * max(layer.additions, layer.multiplications)
    size = (layer.membrane_updates or layer.additions) * sums
    maps = layer.map_entries * 2 * _ROW_BITS
    return Traffic(_NOTHING, _NOTHING, Moved(words * sums, size), outputs, Moved(maps, maps))


def _weighted(layer: LayerCount, form: Form, arithmetic: Arithmetic) -> Traffic:
    skips = form.skips and (layer.reads == "spikes" or not form.spikes)
    products = layer.event_macs if skips else layer.macs
    fetched = products * layer.groups // max(1, layer.out_channels)
    width, _ = _activation(layer, layer.depth, layer.in_channels, form, arithmetic)
    sums = layer.out_rows * layer.out_channels * arithmetic.sum_bits
    maps = layer.map_entries * 2 * _ROW_BITS
    return Traffic(
        Moved(products * arithmetic.bits, layer.weights * arithmetic.bits),
        Moved(fetched * width, layer.values * width),
        Moved(sums, sums),
        _NOTHING,
        Moved(maps, maps),
    )


def _activation(layer: LayerCount, depth: int, channels: int, form: Form, arithmetic: Arithmetic) -> tuple[int, int]:
    """Bits of an activation and how many of them are there to be stored."""
    if form.spikes and not depth:
        # Real values in a spiking network: all of them, as they are.
        return arithmetic.bits, layer.values
    width = arithmetic.bits if form.rectified or not depth else ceil(log2(depth + 1))
    if not form.skips:
        return width, layer.values
    return width + ceil(log2(max(2, channels))), layer.events
