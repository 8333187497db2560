"""Frames of which only the labels of one side count: to train in one place and test in another, or to score what is near."""

import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from spikevox.tasks.build import build
from spikevox.tasks.datasets.frame import LidarFrame
from spikevox.tasks.datasets.segmentation import FrameReader, reader_name
from spikevox.tasks.errors import ConfigError


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
        low, high = -math.inf if above is None else above, math.inf if below is None else below
        if axis not in ("x", "y", "z") or not low < high or (above is None and below is None):
            raise ConfigError(
                f"expected an axis x, y or z, and above, below or both in this order, got {axis!r}, {above} and {below}."
            )
        self.reader: FrameReader = build(frames)
        self.label_names, self.frames = dict(self.reader.label_names), self.reader.frames
        self.axis = "xyz".index(axis)
        self.low, self.high = low, high
        self.name = f"{reader_name(self.reader)}, labels where {_place(axis, above, below)}"
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


def _place(axis: str, above: float | None, below: float | None) -> str:
    if above is None or below is None:
        return f"{axis} > {above:g} m" if below is None else f"{axis} < {below:g} m"
    return f"{above:g} < {axis} < {below:g} m"
