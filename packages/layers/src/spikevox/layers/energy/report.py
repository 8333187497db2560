"""Energy of a network over samples, beside its controls, with intervals, and where each comparison turns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.layers.energy.counts import LayerCount, OperationCounts
from spikevox.layers.energy.forms import CONTROLS, FORMS
from spikevox.layers.energy.pricing import Price, price_layer
from spikevox.layers.energy.published import Published, published_stem
from spikevox.layers.energy.table import EnergyTable, load_table
from spikevox.layers.energy.traffic import Traffic, traffic_of
from spikevox.layers.errors import EnergyError

PARTS = ("synaptic", "weights_once", "weights_each")
_LEVEL = 95


class Interval(NamedTuple):
    """A mean over samples and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3g} [{self.low:.3g}, {self.high:.3g}]"


class Comparison(NamedTuple):
    """The spiking network against a control of the same precision.

    Attributes:
        spiking: name of the form with spikes.
        control: name of the other.
        part: ``"synaptic"``: layers with weights alone; ``"weights_once"``, ``"weights_each"``: all arithmetic and memory,
            weights fetched once a sample or for each product.
        ratio: energy of the control over that of the spiking network; above 1 spikes win.
        tie: where both take the same, in units of ``tie_unit``; 0 where the control is cheaper than what does not depend on
            spikes.
        tie_unit: ``"spikes a product"``, the firing rate weighted by fan-out; against a control that skips the same zeros
            ``"spikes an event"``, the mean level of values that are not 0, as their number helps or hurts both.
    """

    spiking: str
    control: str
    part: str
    ratio: Interval
    tie: float
    tie_unit: str


class LayerRow(NamedTuple):
    """A layer, a sample.

    Attributes:
        name: path of the module.
        kind: of layer.
        reads: spikes or reals, of a layer with weights; else empty.
        channels: in and out.
        pairs: matches.
        fan_out: pairs an input row.
        macs: of the dense form.
        acs: spike additions.
        firing_rate: spikes a value that it read, or emitted; NaN for real values.
        levels: shares of the values that are 0, 1, ... D spikes.
        additions: further ones.
        membrane_updates: of a neuron.
        bits: moved by each form: of weights (one for each product), inputs, membranes, outputs and kernel maps.
        picojoules: by form; a form that was not measured is absent.
    """

    name: str
    kind: str
    reads: str
    channels: tuple[int, int]
    pairs: float
    fan_out: float
    macs: float
    acs: float
    firing_rate: float
    levels: tuple[float, ...]
    additions: float
    membrane_updates: float
    bits: dict[str, dict[str, float]]
    picojoules: dict[str, Price]


@dataclass(frozen=True)
class EnergyReport:
    """What :func:`energy_report` found.

    Attributes:
        counts: of all samples together.
        table: constants.
        rate: spikes a product of the dense form, over all layers that read spikes.
        level: spikes a product whose input is not 0.
        forms: picojoules a sample of each form, by part.
        prices: picojoules a sample of each form, split.
        comparisons: with each control.
        layers: all but normalisations that are folded.
        published: what the published script would say.
        relu: where the counts with ReLU come from; empty where there are none.
    """

    counts: OperationCounts
    table: EnergyTable
    rate: Interval
    level: float
    forms: dict[str, dict[str, Interval]]
    prices: dict[str, Price]
    comparisons: tuple[Comparison, ...]
    layers: tuple[LayerRow, ...]
    published: Published
    relu: str

    @property
    def weighted(self) -> tuple[LayerRow, ...]:
        """Layers with weights."""
        return tuple(row for row in self.layers if row.reads)

    def figures(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "samples": self.counts.samples,
            "table": self.table.title,
            "source": self.table.source,
            "macs": self.counts.total("macs") / self.counts.samples,
            "acs": self.counts.total("acs") / self.counts.samples,
            "rate": self.rate._asdict(),
            "level": self.level,
            "picojoules": {
                name: {
                    **{part: interval._asdict() for part, interval in parts.items()},
                    "parts": self.prices[name]._asdict(),
                }
                for name, parts in self.forms.items()
            },
            "comparisons": [{**c._asdict(), "ratio": c.ratio._asdict()} for c in self.comparisons],
            "layers": [
                {**row._asdict(), "picojoules": {n: p._asdict() for n, p in row.picojoules.items()}}
                for row in self.layers
            ],
            "published_stem_only": self.published._asdict(),
            "relu": self.relu,
            "apart": [list(entry) for entry in self.counts.apart],
            "uncounted": list(self.counts.uncounted),
        }


def energy_report(
    samples: Sequence[OperationCounts],
    *,
    relu: Sequence[OperationCounts] = (),
    relu_from: str = "",
    table: EnergyTable | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> EnergyReport:
    """Prices the counts of samples, each by itself, in the form with spikes and in those of the controls.

    Intervals are bootstrapped over samples; ratios compare the same samples.

    Args:
        samples: counts of one sample each, of one network.
        relu: counts of the same network with ReLU in place of neurons, of the same samples; without them only its dense form is
            priced, whose products are those of the spiking network.
        relu_from: what that network is.
        table: constants, by default those of Horowitz at 45 nm.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        EnergyError: no samples, or other numbers of samples with ReLU.
    """
    if not samples or (relu and len(relu) != len(samples)):
        raise EnergyError(
            f"a report needs samples, and as many with ReLU: got {len(samples)} and {len(relu)} sets of counts."
        )
    table = table or load_table()
    sources = {name: relu if form.rectified and relu else samples for name, form in FORMS.items()}
    if not relu:
        # What is not 0 after ReLU is not known.
        del sources["relu_skipping"]
    by_layer = {
        name: [[price_layer(layer, FORMS[name], table) for layer in c.layers] for c in counts]
        for name, counts in sources.items()
    }
    prices = {name: [_sum(layers) for layers in found] for name, found in by_layer.items()}
    draws = np.random.default_rng(seed).integers(0, len(samples), (resamples, len(samples)))
    energies = {
        name: {part: np.array([getattr(p, part) for p in found]) for part in PARTS} for name, found in prices.items()
    }
    counts = _together(samples)
    means = {name: _mean(found) for name, found in prices.items()}
    return EnergyReport(
        counts,
        table,
        _rate(samples, draws),
        counts.total("acs") / max(1, sum(layer.event_macs for layer in counts.weighted("spikes"))),
        {name: {part: _interval(values[part], draws) for part in PARTS} for name, values in energies.items()},
        means,
        _comparisons(counts, means, energies, draws),
        _rows({name: _together(found) for name, found in sources.items()}, by_layer, table),
        published_stem(counts),
        relu_from if relu else "",
    )


def _together(samples: Sequence[OperationCounts]) -> OperationCounts:
    counts = samples[0]
    for other in samples[1:]:
        counts = counts + other
    return counts


def _sum(prices: Sequence[Price]) -> Price:
    return Price(*(math.fsum(column) for column in zip(*prices, strict=True)))


def _mean(prices: Sequence[Price]) -> Price:
    return Price(*(float(np.mean(column)) for column in zip(*prices, strict=True)))


def _interval(values: NDArray[np.float64], draws: NDArray[np.int64]) -> Interval:
    means = values[draws].mean(axis=1)
    tail = (100 - _LEVEL) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(float(values.mean()), float(low), float(high))


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64], draws: NDArray[np.int64]) -> Interval:
    tail = (100 - _LEVEL) / 2
    found = above[draws].sum(axis=1) / np.maximum(below[draws].sum(axis=1), 1e-300)
    low, high = np.percentile(found, [tail, 100 - tail])
    return Interval(float(above.sum() / max(float(below.sum()), 1e-300)), float(low), float(high))


def _rate(samples: Sequence[OperationCounts], draws: NDArray[np.int64]) -> Interval:
    spikes = np.array([c.total("acs") for c in samples], dtype=np.float64)
    products = np.array([sum(layer.macs for layer in c.weighted("spikes")) for c in samples], dtype=np.float64)
    return _ratio(spikes, products, draws)


def _comparisons(
    counts: OperationCounts, means: dict[str, Price], energies: dict[str, dict[str, NDArray[np.float64]]], draws: Any
) -> tuple[Comparison, ...]:
    read = tuple(counts.weighted("spikes"))
    found = []
    for spiking, controls in CONTROLS.items():
        for control in (name for name in controls if name in means):
            # It skips the zeros of the same activations.
            alike = FORMS[control].skips and not FORMS[control].rectified
            products = sum(layer.event_macs if alike else layer.macs for layer in read)
            rate = counts.total("acs") / max(1, products)
            unit = "spikes an event" if alike else "spikes a product"
            for part in PARTS:
                ratio = _ratio(energies[control][part], energies[spiking][part], draws)
                tie = _tie(rate, means[spiking], means[control], part=part, alike=alike)
                found.append(Comparison(spiking, control, part, ratio, tie, unit))
    return tuple(found)


def _tie(rate: float, spiking: Price, control: Price, *, part: str, alike: bool) -> float:
    """Rate at which both take the same: spike additions grow with it, and weights fetched for events, all else stays."""
    moving = spiking.spiking
    if part == "weights_each" and not alike:
        moving += spiking.fetched
    fixed = getattr(spiking, part) - moving
    left = getattr(control, part) - fixed
    return max(0.0, rate * left / moving) if moving else float("inf")


def _rows(
    totals: dict[str, OperationCounts], by_layer: dict[str, list[list[Price]]], table: EnergyTable
) -> tuple[LayerRow, ...]:
    rows = []
    for index, layer in enumerate(totals["spiking"].layers):
        if not layer.folded:
            alike = {name: counts.layers[index] for name, counts in totals.items()}
            prices = {name: _mean([sample[index] for sample in found]) for name, found in by_layer.items()}
            rows.append(_row(layer, totals["spiking"].samples, alike, prices, table))
    return tuple(rows)


def _row(
    total: LayerCount, count: int, alike: dict[str, LayerCount], prices: dict[str, Price], table: EnergyTable
) -> LayerRow:
    moved = {}
    for name, layer in alike.items():
        traffic = traffic_of(layer, FORMS[name], table.arithmetic[FORMS[name].precision])
        moved[name] = {part: getattr(traffic, part).bits / count for part in Traffic._fields}
    return LayerRow(
        total.name,
        total.kind,
        total.reads,
        (total.in_channels, total.out_channels),
        total.pairs / count,
        total.fan_out,
        total.macs / count,
        total.acs / count,
        total.firing_rate,
        tuple(number / max(1, total.values) for number in total.levels),
        total.additions / count,
        total.membrane_updates / count,
        moved,
        prices,
    )
