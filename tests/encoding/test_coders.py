import math
from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikevox.encoding import (
    SpikeTrain,
    SpikeTrainError,
    delta_decode,
    delta_encode,
    direct_decode,
    direct_encode,
    latency_decode,
    latency_encode,
    rate_decode,
    rate_encode,
)

unit = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20).map(lambda v: torch.tensor(v)[:, None])


@given(st.lists(st.integers(0, 7), min_size=1, max_size=40), st.integers(7, 12))
def test_integers_and_binary_steps_are_the_same_train(values, levels):
    train = SpikeTrain.from_values(torch.tensor(values).view(1, -1, 1), levels)
    binary = train.to_binary()
    assert binary.steps == levels
    assert binary.levels == 1
    assert torch.equal(binary.to_integer(levels).spikes, train.spikes)
    assert torch.equal(binary.spikes.sum(dim=0), train.spikes[0])


def test_binary_steps_of_a_known_train():
    train = SpikeTrain.from_values(torch.tensor([[3.0, 0.0, 1.0]]), 3)
    assert train.to_binary().spikes[:, 0].tolist() == [[1, 0, 1], [1, 0, 0], [1, 0, 0]]
    assert train.firing_rate == pytest.approx(4 / 3)


@given(unit, st.integers(1, 16), st.integers(1, 4))
def test_direct_coding_is_off_by_half_a_level_at_most(values, levels, steps):
    train = direct_encode(values, levels, steps)
    assert train.steps == steps
    assert (direct_decode(train) - values).abs().max() <= 0.5 / levels + 1e-6


@given(unit, st.integers(1, 32))
def test_even_rates_are_off_by_half_a_spike_at_most(values, steps):
    train = rate_encode(values, steps)
    assert (rate_decode(train) - values).abs().max() <= 0.5 / steps + 1e-6
    halves = train.spikes[: steps // 2].sum(dim=0), train.spikes[steps - steps // 2 :].sum(dim=0)
    # Evenly spread: no half holds more than one spike more than the other.
    assert (halves[0].int() - halves[1].int()).abs().max() <= 1


def test_random_rates_follow_the_seed_and_the_binomial():
    values = torch.full((20_000, 1), 0.3)
    one, same, other = (rate_encode(values, 16, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one.spikes, same.spikes)
    assert not torch.equal(one.spikes, other.spikes)
    error = rate_decode(one) - values
    assert error.mean().abs() < 0.005
    assert error.std() == pytest.approx(math.sqrt(0.3 * 0.7 / 16), rel=0.03)


@given(unit, st.integers(2, 32))
def test_latency_is_off_by_half_a_step_at_most_and_fires_once(values, steps):
    train = latency_encode(values, steps)
    assert torch.equal(train.spikes.sum(dim=0) > 0, values > 0)
    assert train.spikes.sum(dim=0).max() <= 1
    assert (latency_decode(train) - values).abs().max() <= 0.5 / (steps - 1) + 1e-6


@given(st.lists(st.lists(st.floats(-20, 20, width=32), min_size=3, max_size=3), min_size=1, max_size=12))
def test_delta_errors_do_not_add_up(rows):
    frames = torch.tensor(rows).unsqueeze(-1)
    rises, falls = delta_encode(frames, 0.25)
    assert (delta_decode(rises, falls, 0.25) - frames.double()).abs().max() <= 0.125 + 1e-9
    assert not bool(((rises.spikes > 0) & (falls.spikes > 0)).any())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: direct_encode(torch.tensor([[1.2]])), r"values must lie in \[0, 1\]"),
        (lambda: direct_encode(torch.tensor([[float("nan")]])), r"values must lie in \[0, 1\]"),
        (lambda: rate_encode(torch.tensor([0.5]), 4), r"floating of shape \(N, C\)"),
        (lambda: rate_encode(torch.tensor([[0.5]]), 0), "steps must be at least 1"),
        (lambda: latency_encode(torch.tensor([[0.5]]), 1), "at least 2 steps"),
        (lambda: delta_encode(torch.ones(2, 1, 1), 0.0), "threshold must be positive"),
        (lambda: delta_encode(torch.ones(2, 1), 0.1), r"shape \(T, N, C\)"),
        (lambda: SpikeTrain(torch.ones(1, 1, 1), 1), "spikes must be uint8"),
        (lambda: SpikeTrain(torch.full((1, 1, 1), 5, dtype=torch.uint8), 4), "the largest value is 5"),
        (lambda: SpikeTrain.from_values(torch.tensor([[0.5]]), 4), "whole numbers in"),
        (lambda: SpikeTrain.from_values(torch.ones(1, 1), 300), r"levels must lie in \[1, 255\]"),
        (lambda: SpikeTrain.from_values(torch.ones(3, 1, 1), 1).to_integer(2), "multiple of 2"),
    ],
)
def test_what_cannot_be_coded_is_refused(call, message):
    with pytest.raises(SpikeTrainError, match=message):
        call()


def test_a_spike_train_cannot_be_changed():
    train = SpikeTrain(torch.zeros(1, 2, 3, dtype=torch.uint8), 4)
    with pytest.raises(FrozenInstanceError):
        train.levels = 8
