"""Frames of several readers as those of one: to train on two data sets with the same labels."""

from collections.abc import Sequence
from typing import Any

from spikevox.tasks.build import build
from spikevox.tasks.datasets.frame import LidarFrame
from spikevox.tasks.datasets.lidar_file import pick
from spikevox.tasks.datasets.segmentation import FrameReader
from spikevox.tasks.errors import ConfigError


class JoinedFrames:
    """Frames of the first reader, then those of the next.

    Args:
        readers: readers, or ``dict(type=..., ...)``, that number labels alike.

    Attributes:
        label_names: of all readers.
        frames: ``READER/FRAME`` of each frame, the reader by its place from 0.

    Raises:
        ConfigError: no reader, or readers with other labels than the first.
    """

    def __init__(self, readers: Sequence[FrameReader | dict[str, Any]]) -> None:
        self.readers: list[FrameReader] = [build(reader) for reader in readers]
        if not self.readers:
            raise ConfigError("readers is empty: there is nothing to join.")
        self.label_names = self.readers[0].label_names
        for place, reader in enumerate(self.readers):
            if dict(reader.label_names) != dict(self.label_names):
                raise ConfigError(
                    f"readers[{place}], {type(reader).__name__}, numbers labels otherwise than readers[0], "
                    f"{type(self.readers[0]).__name__}."
                )
        self._rows = [(reader, index) for reader in self.readers for index in range(len(reader))]
        self.frames = tuple(f"{place}/{name}" for place, reader in enumerate(self.readers) for name in reader.frames)

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, index: int) -> LidarFrame:
        """One frame.

        Raises:
            IndexError: no such frame.
        """
        pick(index, self.frames)
        reader, row = self._rows[index]
        return reader.frame(row)
