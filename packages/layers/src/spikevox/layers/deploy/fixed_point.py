"""Numbers of an integer layer: int8 weights, multiplier and shift, and proof that no sum leaves its type."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.layers.deploy.program import MEMBRANE_RANGE
from spikevox.layers.errors import GraphError

# A product of a sum and a multiplier, and the offset that is added to it, each stay below.
_PRODUCT = 2**62
_MULTIPLIER = 2**31 - 1
_LARGEST_UNIT, _SMALLEST_UNIT = 2**16, 2**4
# Weights are rounded, which may take a membrane beyond what exact ones would: a factor of four is left for that.
_ROOM = 2**29


class Range(NamedTuple):
    """Lowest and highest value of each channel, (C,)."""

    low: NDArray
    high: NDArray

    def plus(self, other: "Range") -> "Range":
        """The range of a sum."""
        return Range(self.low + other.low, self.high + other.high)

    def first(self, channels: int) -> "Range":
        """The first channels alone."""
        return Range(self.low[:channels], self.high[:channels])


def range_of_sums(weight: NDArray, values: Range) -> Range:
    """Range of ``sum over k, c of weight[k, c] * value[c]``, for weight (K, C, C_out) and any values in their range."""
    up, down = np.maximum(weight, 0), np.minimum(weight, 0)
    # An offset that finds no site adds nothing.
    lowest, highest = np.minimum(values.low, 0), np.maximum(values.high, 0)
    low = np.einsum("kco,c->o", up, lowest) + np.einsum("kco,c->o", down, highest)
    high = np.einsum("kco,c->o", up, highest) + np.einsum("kco,c->o", down, lowest)
    return Range(low, high)


def units_for(bounds: list[tuple[str, Range]], channels: int) -> NDArray[np.int32]:
    """What stands for 1 in each channel of the membranes of one resolution: a power of two, the largest that all bear.

    Args:
        bounds: name of a layer and the range (C,) of its membrane in real numbers.
        channels: the most that a membrane has.

    Raises:
        GraphError: a membrane so large that steps of 1/16 do not fit; it is named.
    """
    unit = np.full(channels, _LARGEST_UNIT, np.int64)
    for name, known in bounds:
        largest = np.maximum(np.maximum(-known.low, known.high), 2.0**-20)
        fits = 2.0 ** np.floor(np.log2(_ROOM / largest))
        if fits.min() < _SMALLEST_UNIT:
            raise GraphError(
                f"{name}: its membrane may reach {largest.max():.3g}, which int32 does not hold in steps of 1/16. Smaller "
                "weights or fewer levels are needed."
            )
        unit[: len(largest)] = np.minimum(unit[: len(largest)], fits.astype(np.int64))
    return unit.astype(np.int32)


def int8_weights(weights: list[NDArray[np.float64]]) -> tuple[list[NDArray[np.int8]], NDArray[np.float64]]:
    """Weights (K, C, C_out) of the sources of a layer as int8, and the factor (C_out,) that they have lost.

    Each output channel has a scale of its own, its largest weight is 127 of it.
    """
    largest = np.max([np.abs(weight).max(axis=(0, 1), initial=0.0) for weight in weights], axis=0)
    scale = np.where(largest > 0, largest, 1.0) / 127
    return [np.floor(weight / scale + 0.5).astype(np.int8) for weight in weights], scale


class Requantisation(NamedTuple):
    """``(a * multiplier + offset) >> shift``, each (C,)."""

    multiplier: NDArray[np.int32]
    shift: NDArray[np.int32]
    offset: NDArray[np.int64]

    def apply(self, name: str, sums: Range) -> Range:
        """The range of a branch.

        Raises:
            GraphError: a product that int64 does not hold.
        """
        ends = []
        for end in sums:
            products = [int(a) * int(m) + int(o) for a, m, o in zip(end, self.multiplier, self.offset, strict=True)]
            if max(map(abs, products), default=0) >= 2 * _PRODUCT:
                raise GraphError(f"{name}: a sum times its multiplier may leave int64.")
            ends.append(np.array([p >> int(s) for p, s in zip(products, self.shift, strict=True)], dtype=np.int64))
        return Range(*ends)


def requantisation(name: str, factor: NDArray[np.float64], bias: NDArray[np.float64], sums: Range) -> Requantisation:
    """Multiplier, shift and offset for ``factor * a + bias``, as exact as int32 and int64 allow.

    Args:
        name: of the layer.
        factor: (C,) positive; steps of the membrane for one of the sum.
        bias: (C,) in steps of the membrane.
        sums: range of the sums, whole numbers.

    Raises:
        GraphError: weights so large that a step of the sum is more than int32 steps of the membrane.
    """
    multiplier, shift, offset = [], [], []
    for f, b, low, high in zip(factor, bias, *sums, strict=True):
        # What must stay below 2^61, and the multiplier below 2^31: places behind the point that are left for it.
        largest = max(max(-int(low), int(high), 1) * f, abs(b), 1.0)
        places = int(min(62, np.floor(61 - np.log2(largest)), np.floor(31 - np.log2(max(f, 2.0**-62)) - 1e-9)))
        if places < 1:
            raise GraphError(f"{name}: its weights are too large for a multiplier of int32.")
        multiplier.append(min(_MULTIPLIER, int(np.floor(f * 2.0**places + 0.5))))
        shift.append(places)
        # Half a step: a shift rounds down, and halves are to be rounded up.
        offset.append(int(np.floor(b * 2.0**places + 0.5)) + (1 << (places - 1)))
    return Requantisation(np.array(multiplier, np.int32), np.array(shift, np.int32), np.array(offset, np.int64))


def check_range(name: str, what: str, known: Range) -> None:
    """Raises GraphError, with the layer's name, unless a range lies within int32."""
    if int(known.low.min(initial=0)) < MEMBRANE_RANGE[0] or int(known.high.max(initial=0)) > MEMBRANE_RANGE[1]:
        worst = max(-int(known.low.min(initial=0)), int(known.high.max(initial=0)))
        raise GraphError(
            f"{name}: its {what} may reach {worst}, beyond int32. Smaller weights, fewer levels or fewer shortcuts are needed."
        )
