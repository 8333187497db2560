"""Prices of counts worked out by hand, intervals, ties, and what is said of them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from spikevox.layers import ILIF, BatchNorm, Linear, SparseTensor, SubmanifoldConv3d
from spikevox.layers.energy import count_operations, energy_report, load_table, table_names, verdict, with_relu
from spikevox.layers.energy.conclusion import joules, outcome
from spikevox.layers.energy.counts import LayerCount, OperationCounts
from spikevox.layers.energy.forms import FORMS
from spikevox.layers.energy.pricing import price_layer
from spikevox.layers.energy.published import published_stem
from spikevox.layers.energy.traffic import traffic_of
from spikevox.layers.errors import EnergyError

TABLE = load_table()
# 10 pairs, 4 -> 8 channels: 320 products, 100 of them with an input that is not 0, whose levels sum to 150.
SPIKES = LayerCount(
    "conv", "convolution", "spikes", 4, 8, weights=864, depth=4, in_rows=5, out_rows=5, pairs=10, map_entries=10,
    values=20, events=9, spikes=14, levels=(11, 6, 1, 2, 0), macs=320, event_macs=96, acs=160,
)  # fmt: skip
REALS = LayerCount(
    "stem.0", "convolution", "reals", 2, 4, weights=216, in_rows=5, out_rows=5, pairs=10, map_entries=10, values=10,
    events=10, macs=80, event_macs=80,
)  # fmt: skip
NEURON = LayerCount(
    "neuron", "neuron", "", 4, 4, depth=4, in_rows=5, out_rows=5, values=20, events=9, spikes=14,
    levels=(11, 6, 1, 2, 0), membrane_updates=20,
)  # fmt: skip


def test_constants_are_those_of_their_sources():
    arithmetic = TABLE.arithmetic
    assert (arithmetic["float32"].mac, arithmetic["float32"].add) == (pytest.approx(4.6), 0.9)
    assert (arithmetic["int8"].multiply, arithmetic["int8"].add) == (0.2, 0.1)
    assert [m.per_bit * 64 for m in TABLE.memories] == [10, 20, 100, 1300]
    assert table_names() == ["horowitz_45nm", "jouppi_7nm"]
    assert load_table("jouppi_7nm").arithmetic["float32"].mac == pytest.approx(1.69)


def test_a_layer_with_spikes_adds_and_one_with_reals_multiplies():
    form = FORMS["spiking"]
    assert price_layer(SPIKES, form, TABLE)[:3] == (0, pytest.approx(160 * 0.9), 0)
    assert price_layer(REALS, form, TABLE)[:3] == (pytest.approx(80 * 4.6), 0, 0)
    assert price_layer(NEURON, form, TABLE)[:3] == (0, 0, pytest.approx(20 * 0.9))


@pytest.mark.parametrize(
    ("form", "picojoules"),
    [
        ("relu_dense", 320 * 4.6),
        ("relu_skipping", 96 * 4.6),
        ("spiking_int8", 160 * 0.1),
        ("quantised_dense", 320 * 0.3),
        ("quantised_skipping", 96 * 0.3),
    ],
)
def test_controls_multiply(form, picojoules):
    assert price_layer(SPIKES, FORMS[form], TABLE).synaptic == pytest.approx(picojoules)


def test_traffic_by_hand():
    arithmetic = TABLE.arithmetic["float32"]
    found = traffic_of(SPIKES, FORMS["spiking"], arithmetic)
    # 96 weights of 32 bits; 12 events a pair's row, level in 3 bits and channel in 2; 5 rows of 8 sums; 10 pairs of two rows.
    assert [m.bits for m in found] == [96 * 32, 12 * 5, 40 * 32, 0, 10 * 64]
    assert [m.size for m in found] == [864 * 32, 20 * 5, 40 * 32, 0, 10 * 64]
    found = traffic_of(SPIKES, FORMS["quantised_dense"], TABLE.arithmetic["int8"])
    assert [m.bits for m in found] == [320 * 8, 40 * 3, 40 * 32, 0, 10 * 64]
    found = traffic_of(NEURON, FORMS["spiking"], arithmetic)
    assert [m.bits for m in found] == [0, 0, 20 * 32, 9 * 5, 0]
    found = traffic_of(NEURON, FORMS["relu_dense"], arithmetic)
    assert [m.bits for m in found] == [0, 0, 20 * 32, 20 * 32, 0]


def test_a_kept_membrane_is_read_and_written_once_more_and_leaks():
    kept = replace(NEURON, state_updates=20)
    assert traffic_of(kept, FORMS["spiking"], TABLE.arithmetic["float32"]).membranes.bits == 60 * 32
    assert price_layer(kept, FORMS["spiking"], TABLE).other == pytest.approx(40 * 0.9 + 20 * 3.7)


def test_each_tensor_lies_in_the_smallest_memory_that_holds_it():
    assert TABLE.moving(640, 8 * 8192) == pytest.approx(100)
    assert TABLE.moving(640, 8 * 8192 + 1) == pytest.approx(200)
    assert TABLE.moving(640, 8 * 2**20) == pytest.approx(1000)
    # Larger ones come from DRAM once and lie in the largest SRAM, part by part.
    size = 8 * 2**20 + 64
    assert TABLE.moving(3 * size, size) == pytest.approx(3 * size / 64 * 100 + size / 64 * 1300)
    assert TABLE.moving(640, size) == pytest.approx(1000 + 13000)


def test_weights_are_fetched_once_or_for_each_product():
    price = price_layer(SPIKES, FORMS["relu_dense"], TABLE)
    # 864 weights and 320 products, of 32 bits each: the products are the fewer ones.
    assert price.fetched == price.loaded == pytest.approx(320 * 32 / 64 * 10)
    small = price_layer(replace(SPIKES, weights=8), FORMS["relu_dense"], TABLE)
    assert (small.fetched, small.loaded) == (pytest.approx(1600), pytest.approx(40))
    assert small.weights_each - small.weights_once == pytest.approx(1560)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("add = 0.9", "'add'"),
        ("multiply = 3.7", "positive"),
        ('name = "DRAM"\nword = 1300.0', "no limit"),
    ],
)
def test_a_table_that_cannot_be_used_is_told(tmp_path, change, message):
    from importlib.resources import files

    text = (files("spikevox.layers.energy") / "constants" / "horowitz_45nm.toml").read_text()
    assert change in text
    new = {"'add'": "", "positive": "multiply = -1", "no limit": 'name = "DRAM"\nbytes = 5\nword = 1.0'}[message]
    path = tmp_path / "own.toml"
    path.write_text(text.replace(change, new, 1))
    with pytest.raises(EnergyError, match=rf"own\.toml cannot be used: .*{message}"):
        load_table(path)
    path.write_text(text)
    assert load_table(path) == TABLE
    with pytest.raises(EnergyError, match="there are horowitz_45nm, jouppi_7nm"):
        load_table("tsmc")
    with pytest.raises(EnergyError, match="no table of constants"):
        load_table(tmp_path / "absent.toml")


def test_ties_are_where_they_are():
    """A network whose spikes are brought to the tie takes what the control takes."""
    counts = OperationCounts((REALS, SPIKES))
    report = energy_report([counts], relu=[counts], resamples=2)
    dense = next(c for c in report.comparisons if c.control == "relu_dense" and c.part == "synaptic")
    assert dense.tie == pytest.approx(4.6 / 0.9)
    skipping = next(c for c in report.comparisons if c.control == "relu_skipping" and c.part == "synaptic")
    assert skipping.tie == pytest.approx(96 * 4.6 / 0.9 / 320)
    alike = next(c for c in report.comparisons if c.control == "quantised_skipping" and c.part == "synaptic")
    assert (alike.tie, alike.tie_unit) == (pytest.approx(3.0), "spikes an event")
    # More spikes at the same places; weights fetched for each event would need more events.
    for comparison in (c for c in report.comparisons if c.part != "weights_each" and c.tie > 0):
        now = 160 / (96 if comparison.tie_unit == "spikes an event" else 320)
        moved = OperationCounts((REALS, replace(SPIKES, acs=round(160 * comparison.tie / now))))
        again = energy_report([moved], relu=[counts], resamples=2)
        same = next(c for c in again.comparisons if c[:3] == comparison[:3])
        assert same.ratio.mean == pytest.approx(1, abs=0.005), comparison


def test_a_control_cheaper_than_what_spikes_do_not_change_has_no_tie():
    busy = OperationCounts((REALS, replace(SPIKES, acs=160, additions=10**6)))
    report = energy_report([busy], relu=[OperationCounts((REALS, SPIKES))], resamples=2)
    total = next(c for c in report.comparisons if c.control == "relu_dense" and c.part == "weights_once")
    assert total.tie == 0
    assert outcome(total) == "more"
    assert "no rate would tie" in verdict(report)


def test_intervals_hold_the_mean_and_shrink_with_the_number_of_samples():
    generator = np.random.default_rng(0)
    samples = [OperationCounts((replace(SPIKES, acs=int(n)),)) for n in generator.integers(100, 200, 400)]
    mean = np.mean([c.total("acs") for c in samples]) * 0.9
    widths = []
    for number in (25, 400):
        interval = energy_report(samples[:number]).forms["spiking"]["synaptic"]
        assert interval.low <= interval.mean <= interval.high
        widths.append(interval.high - interval.low)
    assert interval.mean == pytest.approx(mean)
    # A quarter: the square root of 25 / 400.
    assert widths[1] / widths[0] == pytest.approx(0.25, rel=0.4)
    expected = 2 * 1.96 * np.std([c.total("acs") * 0.9 for c in samples]) / math.sqrt(400)
    assert widths[1] == pytest.approx(expected, rel=0.15)


def test_the_paragraph_says_who_wins_and_who_loses():
    few = energy_report([OperationCounts((SPIKES,))] * 3, relu=[OperationCounts((SPIKES,))] * 3)
    text = verdict(few)
    assert "less than ReLU, dense" in text
    assert text.split(". ")[-1].startswith("Spikes win against")
    many = energy_report([OperationCounts((replace(SPIKES, acs=320 * 6),))] * 3)
    assert "more than ReLU, dense" in verdict(many)
    assert "lose against" in verdict(many)
    assert "relu_skipping" not in many.forms


def test_the_published_scripts_figure_is_the_stems_alone():
    counts = OperationCounts((REALS, SPIKES))
    found = published_stem(counts)
    assert found == (2 * 10 * 16 - 5, pytest.approx(4.6 * (2 * 10 * 16 - 5)), 1)
    assert published_stem(OperationCounts((SPIKES,))).layers == 0


def test_a_report_needs_samples():
    with pytest.raises(EnergyError, match="got 0 and 0"):
        energy_report([])
    with pytest.raises(EnergyError, match="got 1 and 2"):
        energy_report([OperationCounts((SPIKES,))], relu=[OperationCounts((SPIKES,))] * 2)


def test_the_control_has_the_same_weights_and_no_spikes():
    torch.manual_seed(0)
    network = nn.Sequential(SubmanifoldConv3d(2, 8), BatchNorm(8), ILIF(), Linear(8, 3))
    with torch.no_grad():
        network[0].weight.mul_(50)
    sites = torch.unique(torch.randint(0, 6, (60, 3)), dim=0)
    x = SparseTensor(torch.randn(len(sites), 2), nn.functional.pad(sites, (1, 0)), batch_size=1)
    spiking, control = count_operations(network, x), count_operations(with_relu(network), x)
    assert [layer.macs for layer in spiking.layers] == [layer.macs for layer in control.layers]
    assert [layer.reads for layer in control.weighted()] == ["reals", "reals"]
    assert isinstance(network[2], ILIF)
    # A membrane above 0 is not yet half a spike.
    assert spiking.layers[3].event_macs < control.layers[3].event_macs < control.layers[3].macs
    assert isinstance(with_relu(ILIF())(torch.tensor([-1.0, 0.3])).tolist(), list)


def test_units():
    assert [joules(v) for v in (0.5, 1500, 2.5e6, 3.25e9)] == ["0.5 pJ", "1.5 nJ", "2.5 uJ", "3.25 mJ"]
