import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikevox.tasks.errors import ConfigError
from spikevox.tasks.sampler import EpochBatchSampler


def batches(epoch=0, **options):
    sampler = EpochBatchSampler(**options)
    sampler.set_epoch(epoch)
    found = list(sampler)
    assert len(found) == len(sampler)
    return found


@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 4), st.booleans(), st.integers(0, 5))
def test_processes_share_each_batch_of_a_single_process_in_order(length, batch_size, world_size, shuffle, epoch):
    batch_size = max(batch_size, world_size)
    options = {"length": length, "batch_size": batch_size, "shuffle": shuffle, "seed": 3, "epoch": epoch}
    single = batches(**options)
    shares = [batches(**options, rank=rank, world_size=world_size) for rank in range(world_size)]
    for position, batch in enumerate(single):
        joined = [key for share in shares if position < len(share) for key in share[position]]
        if shuffle and len(batch) < world_size:
            # The documented exception: not every process could take part.
            assert joined == []
        else:
            assert joined == batch
    if shuffle:
        assert len({len(share) for share in shares}) == 1
        assert all(batch for share in shares for batch in share)


def test_an_epoch_holds_every_sample_once_and_each_epoch_has_its_own_order():
    first = [key for batch in batches(length=23, batch_size=4, shuffle=True) for key in batch]
    second = [key for batch in batches(length=23, batch_size=4, shuffle=True, epoch=1) for key in batch]
    assert sorted(index for index, _ in first) == list(range(23))
    assert {epoch for _, epoch in first} == {0}
    assert {epoch for _, epoch in second} == {1}
    assert [index for index, _ in first] != [index for index, _ in second]
    assert first == [key for batch in batches(length=23, batch_size=4, shuffle=True) for key in batch]


def test_without_shuffling_the_order_is_the_data_sets():
    assert batches(length=5, batch_size=2, shuffle=False) == [[(0, 0), (1, 0)], [(2, 0), (3, 0)], [(4, 0)]]


def test_what_cannot_be_sampled_is_refused():
    with pytest.raises(ConfigError, match="the data set has no samples"):
        EpochBatchSampler(0, 4, shuffle=True)
    with pytest.raises(ConfigError, match=r"batch_size \(1\) must be at least the number of processes \(2\)"):
        EpochBatchSampler(9, 1, shuffle=True, world_size=2)
