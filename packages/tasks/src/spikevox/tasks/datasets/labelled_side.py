"""Frames of which only the labels of one side count: to train in one place and test in another, or to score what is near."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from spikevox.tasks.build import build
from spikevox.tasks.datasets.frame import LidarFrame
from spikevox.tasks.datasets.half_space import side_of
from spikevox.tasks.datasets.segmentation import FrameReader, reader_name


class LabelledSide:
    """Frames of a reader with all their points, of which those outside a half space or a strip have no label.

    Args:
        frames: the reader, or ``dict(type=..., ...)``.
        axis: of the frame's own coordinates.
        above: labels count where the coordinate is larger, in metres; this, ``below`` or both are given.
        below: labels count where it is smaller.
        unlabelled: the data set's number for points without a label.

    Attributes:
        label_names: of the reader.
        frames: of the reader.
        name: of the reader, and where labels count.

    Raises:
        ConfigError: an unknown axis, or nothing between ``above`` and ``below``.
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
        self.side = side_of(axis, above, below)
        self.reader: FrameReader = build(frames)
        self.label_names, self.frames = dict(self.reader.label_names), self.reader.frames
        self.name = f"{reader_name(self.reader)}, labels where {self.side.name}"
        self.unlabelled = unlabelled

    def __len__(self) -> int:
        return len(self.reader)

    def frame(self, index: int) -> LidarFrame:
        """One frame; a frame without labels stays so."""
        frame = self.reader.frame(index)
        if frame.labels is None:
            return frame
        return replace(frame, labels=np.where(self.side.holds(frame.points), frame.labels, self.unlabelled))
