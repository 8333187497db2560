"""Frames of several readers as those of one: to train on two data sets with the same labels."""

from collections.abc import Sequence
from typing import Any

from spikevox.tasks.build import build
from spikevox.tasks.datasets.frame import LidarFrame
from spikevox.tasks.datasets.lidar_file import pick
from spikevox.tasks.datasets.segmentation import FrameReader, reader_name
from spikevox.tasks.errors import ConfigError


class JoinedFrames:
    """Frames of the first reader, then those of the next.

    Args:
        readers: readers, or ``dict(type=..., ...)``, that number labels alike, or have none.
        times: how often each reader's frames occur; once by default.

    Attributes:
        label_names: of all readers.
        frames: ``READER/FRAME`` of each frame, the reader by its place from 0.
        name: names of all readers.

    Raises:
        ConfigError: no reader, readers that number labels in two ways, or times that are not a number from 1 a reader.
    """

    def __init__(self, readers: Sequence[FrameReader | dict[str, Any]], *, times: Sequence[int] | None = None) -> None:
        self.readers: list[FrameReader] = [build(reader) for reader in readers]
        if not self.readers:
            raise ConfigError("readers is empty: there is nothing to join.")
        # A reader of boxes alone has no numbers of labels.
        numbering = [place for place, reader in enumerate(self.readers) if reader.label_names]
        first = numbering[0] if numbering else 0
        self.label_names = dict(self.readers[first].label_names)
        for place in numbering:
            if dict(self.readers[place].label_names) != self.label_names:
                raise ConfigError(
                    f"readers[{place}], {type(self.readers[place]).__name__}, numbers labels otherwise than "
                    f"readers[{first}], {type(self.readers[first]).__name__}."
                )
        self.name = " and ".join(dict.fromkeys(reader_name(reader) for reader in self.readers))
        times = [1] * len(self.readers) if times is None else times
        if len(times) != len(self.readers) or min(times) < 1:
            raise ConfigError(f"times needs a number from 1 on for each of {len(self.readers)} readers, got {times}.")
        self._rows = [
            (place, index)
            for place, (reader, count) in enumerate(zip(self.readers, times, strict=True))
            for index in list(range(len(reader))) * count
        ]
        self.frames = tuple(f"{place}/{self.readers[place].frames[index]}" for place, index in self._rows)

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, index: int) -> LidarFrame:
        """One frame.

        Raises:
            IndexError: no such frame.
        """
        pick(index, self.frames)
        place, row = self._rows[index]
        return self.readers[place].frame(row)
