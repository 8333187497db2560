"""Batches of (index, epoch) keys: a function of seed, epoch and process alone."""

from collections.abc import Iterator

import numpy as np

from spikevox.tasks.errors import ConfigError


class EpochBatchSampler:
    """Yields each epoch's batches as lists of (index, epoch).

    In a distributed run every global batch is split among the processes in order, so that a step sees the samples
    that a single process would see. With ``shuffle`` (training), a last batch with fewer samples than processes is left
    out, as every process takes part in every step; without it, processes without a share skip that batch.

    Args:
        length: samples in the data set.
        batch_size: global batch size, over all processes.
        shuffle: a new order each epoch.
        seed: of the order.
        rank: this process.
        world_size: number of processes.
    """

    def __init__(
        self, length: int, batch_size: int, *, shuffle: bool, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        if length < 1:
            raise ConfigError("the data set has no samples.")
        if batch_size < world_size:
            raise ConfigError(f"batch_size ({batch_size}) must be at least the number of processes ({world_size}).")
        self.length = length
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch that the next iteration runs through."""
        self.epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(self.length, self.batch_size)
        return whole + (rest >= self.world_size if self.shuffle else rest > self.rank)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.arange(self.length)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)
        for batch in range(len(self)):
            rows = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [(int(i), self.epoch) for i in np.array_split(rows, self.world_size)[self.rank]]
