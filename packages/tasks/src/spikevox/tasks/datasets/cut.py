"""Frames that are cut off at a plane: to learn boxes in one place and look for them in another."""

from dataclasses import replace
from typing import Any, Literal

from spikevox.tasks.build import build
from spikevox.tasks.datasets.frame import LidarFrame
from spikevox.tasks.datasets.half_space import side_of
from spikevox.tasks.datasets.segmentation import FrameReader, reader_name
from spikevox.tasks.errors import DataFileError


class CutFrames:
    """Frames of a reader with what lies on one side, or between two planes: points there, and boxes whose middle is there.

    Unlike :class:`LabelledSide` it takes the points away too: an object that stands there without a box would be learned as
    none.

    Args:
        frames: the reader, or ``dict(type=..., ...)``.
        axis: of the frame's own coordinates.
        above: what is kept has a larger coordinate, in metres; this, ``below`` or both are given.
        below: what is kept has a smaller one.

    Attributes:
        label_names: of the reader.
        frames: of the reader.
        name: of the reader, and what is kept.

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
    ) -> None:
        self.side = side_of(axis, above, below)
        self.reader: FrameReader = build(frames)
        self.label_names, self.frames = dict(self.reader.label_names), self.reader.frames
        self.name = f"{reader_name(self.reader)}, cut to {self.side.name}"

    def __len__(self) -> int:
        return len(self.reader)

    def frame(self, index: int) -> LidarFrame:
        """One frame.

        Raises:
            DataFileError: no point of it lies there.
        """
        frame = self.reader.frame(index)
        kept = self.side.holds(frame.points)
        if not kept.any():
            raise DataFileError(f"{frame.source} has no point where {self.side.name}.", frame.source)
        return replace(
            frame,
            points=frame.points[kept],
            labels=None if frame.labels is None else frame.labels[kept],
            instances=None if frame.instances is None else frame.instances[kept],
            boxes=None if frame.boxes is None else frame.boxes.take(self.side.holds(frame.boxes.centers)),
        )
