"""Frames whose points are labelled by the boxes that they lie in: segmentation where a data set has boxes alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spikevox.encoding.labels import IGNORE_LABEL
from spikevox.tasks.build import build
from spikevox.tasks.datasets.frame import LidarFrame
from spikevox.tasks.datasets.segmentation import FrameReader
from spikevox.tasks.errors import ConfigError

BACKGROUND = "background"


class BoxLabels:
    """Frames of a reader, each point labelled by its box.

    Label 0 is that of points in no box, N that of points in boxes of the Nth name, from 1. Points in boxes of other names have
    the label -1, which never counts. A point in several boxes belongs to the first.

    Args:
        frames: the reader, or ``dict(type=..., ...)``.
        names: of boxes.

    Attributes:
        label_names: number of each label to its name.
        frames: of the reader.

    Raises:
        ConfigError: no names, or one twice.

    Example:
        >>> from spikevox.tasks.datasets import StreetFrames
        >>> BoxLabels(StreetFrames(1), ("car", "pedestrian")).label_names[2]
        'pedestrian'
    """

    label_names: Mapping[int, str]

    def __init__(self, frames: FrameReader | dict[str, Any], names: Sequence[str]) -> None:
        if not names or len({BACKGROUND, *names}) != len(names) + 1:
            raise ConfigError(f"expected names of boxes, none twice and none {BACKGROUND!r}, got {tuple(names)}.")
        self.reader: FrameReader = build(frames)
        self.frames = self.reader.frames
        self.label_names = dict(enumerate((BACKGROUND, *names)))

    def __len__(self) -> int:
        return len(self.reader)

    def frame(self, index: int) -> LidarFrame:
        """One frame; a frame without boxes has no labels."""
        frame = self.reader.frame(index)
        if frame.boxes is None:
            return replace(frame, labels=None)
        numbers = {name: number for number, name in self.label_names.items()}
        # The last entry is that of the box -1, which is none.
        table = np.array([*(numbers.get(name, IGNORE_LABEL) for name in frame.boxes.names), 0], dtype=np.int64)
        return replace(frame, labels=table[frame.boxes.contain(frame.points)])
