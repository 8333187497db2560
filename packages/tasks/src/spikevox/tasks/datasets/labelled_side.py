"""Frames of which only the labels of one side count: to train in one place and test in another."""

import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from spikevox.tasks.build import build
from spikevox.tasks.datasets.frame import LidarFrame
from spikevox.tasks.datasets.segmentation import FrameReader
from spikevox.tasks.errors import ConfigError


class LabelledSide:
    """Frames of a reader with all their points, of which those outside a half space have no label.

    Args:
        frames: the reader, or ``dict(type=..., ...)``.
        axis: of the frame's own coordinates.
        above: labels count where the coordinate is larger, in metres; this or ``below`` is given.
        below: labels count where it is smaller.
        unlabelled: the data set's number for points without a label.

    Attributes:
        label_names: of the reader.
        frames: of the reader.

    Raises:
        ConfigError: an unknown axis, or both or none of ``above`` and ``below``.
    """

    def __init__(
        self,
        frames: FrameReader | dict[str, Any],
        axis: Literal["x", "y", "z"],
        *,
        above: float | None = None,
        below: float | None = None,
        unlabelled: int = 0,
    ) -> None:
        if axis not in ("x", "y", "z") or (above is None) == (below is None):
            raise ConfigError(f"expected an axis x, y or z and above or below, got {axis!r}, {above} and {below}.")
        self.reader: FrameReader = build(frames)
        self.label_names, self.frames = self.reader.label_names, self.reader.frames
        self.axis = "xyz".index(axis)
        self.low = -math.inf if above is None else above
        self.high = math.inf if below is None else below
        self.unlabelled = unlabelled

    def __len__(self) -> int:
        return len(self.reader)

    def frame(self, index: int) -> LidarFrame:
        """One frame; a frame without labels stays so."""
        frame = self.reader.frame(index)
        if frame.labels is None:
            return frame
        place = frame.points[:, self.axis]
        counts = (place > self.low) & (place < self.high)
        return replace(frame, labels=np.where(counts, frame.labels, self.unlabelled))
