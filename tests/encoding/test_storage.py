import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikevox.encoding import SpikeTrain, SpikeTrainError, pack_spikes, unpack_spikes


def make(count=5, steps=2, channels=3, levels=4, seed=0, extent=50):
    generator = np.random.default_rng(seed)
    coordinates = generator.integers(-extent, extent, (count, 3))
    spikes = torch.from_numpy(generator.integers(0, levels + 1, (steps, count, channels)).astype(np.uint8))
    return coordinates, SpikeTrain(spikes, levels)


@given(st.integers(0, 30), st.integers(1, 4), st.integers(1, 5), st.integers(1, 255), st.sampled_from([1, 50, 100_000]))
def test_what_is_stored_comes_back(count, steps, channels, levels, extent):
    coordinates, train = make(count, steps, channels, levels, extent=extent)
    found, spikes = unpack_spikes(pack_spikes(coordinates, train))
    assert np.array_equal(found, coordinates)
    assert torch.equal(spikes.spikes, train.spikes)
    assert spikes.levels == levels


def test_the_size_is_that_of_the_bits():
    coordinates = np.array([[0, 0, 0], [7, 3, 1]])  # 3 + 2 + 1 bits
    train = SpikeTrain(torch.zeros(1, 2, 8, dtype=torch.uint8), 4)  # 3 bits a level
    assert len(pack_spikes(coordinates, train)) == 35 + 2 + 6 + 4


@pytest.mark.parametrize("cut", [1, 4, 20, 60])
def test_truncated_data_are_refused(cut):
    data = pack_spikes(*make())
    with pytest.raises(SpikeTrainError, match=r"truncated|no stored spike train"):
        unpack_spikes(data[:-cut])


def test_every_flipped_bit_is_noticed():
    data = pack_spikes(*make())
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises(SpikeTrainError):
            unpack_spikes(bytes(damaged))


def test_foreign_data_and_later_versions_are_named():
    with pytest.raises(SpikeTrainError, match="no stored spike train"):
        unpack_spikes(b"PK\x03\x04" + b"\0" * 100)
    data = bytearray(pack_spikes(*make()))
    data[4:6] = struct.pack("<H", 9)
    with pytest.raises(SpikeTrainError, match="stored with version 9; this one reads 1"):
        unpack_spikes(bytes(data))


def test_what_does_not_fit_is_refused():
    coordinates, train = make()
    with pytest.raises(SpikeTrainError, match=r"expected coordinates \(5, 3\)"):
        pack_spikes(coordinates[:4], train)
    with pytest.raises(SpikeTrainError, match="span 93 bits"):
        pack_spikes(np.array([[-(2**30)] * 3, [2**30 - 1] * 3, *[[0] * 3] * 3]), train)
