"""Frames of one data set in the coordinates and the intensities of another: to test there what was trained here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spikevox.tasks.build import build
from spikevox.tasks.datasets.frame import LidarFrame
from spikevox.tasks.datasets.segmentation import FrameReader, reader_name
from spikevox.tasks.errors import ConfigError


class AlignedFrames:
    """Points and labels of a reader, moved, some of their columns multiplied. Boxes and pose are left out.

    Args:
        frames: the reader, or ``dict(type=..., ...)``.
        shift: metres that are added to x, y and z.
        factors: factor of each further column by name.

    Attributes:
        label_names: of the reader.
        frames: of the reader.
        name: of the reader.

    Raises:
        ConfigError: a shift that is not three finite numbers, a factor that is not finite or of a coordinate.
    """

    def __init__(
        self,
        frames: FrameReader | dict[str, Any],
        *,
        shift: Sequence[float] = (0.0, 0.0, 0.0),
        factors: Mapping[str, float] | None = None,
    ) -> None:
        self.reader: FrameReader = build(frames)
        self.label_names, self.frames = dict(self.reader.label_names), self.reader.frames
        self.name = reader_name(self.reader)
        self.shift = np.asarray(shift, dtype=np.float64)
        self.factors = dict(factors or {})
        if self.shift.shape != (3,) or not np.isfinite(self.shift).all():
            raise ConfigError(f"shift must be three finite numbers, got {shift}.")
        if {"x", "y", "z"} & set(self.factors) or not np.isfinite(list(self.factors.values())).all():
            raise ConfigError(f"factors must be finite and of columns that are not coordinates, got {self.factors}.")

    def __len__(self) -> int:
        return len(self.reader)

    def frame(self, index: int) -> LidarFrame:
        """One frame.

        Raises:
            ConfigError: a factor of a column that the frame does not have.
        """
        frame = self.reader.frame(index)
        points = frame.points.copy()
        points[:, :3] += self.shift
        for name, factor in self.factors.items():
            if name not in frame.columns:
                raise ConfigError(f"{frame.source} has no column {name!r}; it has {', '.join(frame.columns)}.")
            points[:, frame.columns.index(name)] *= factor
        return replace(frame, points=points, boxes=None, pose=None)
