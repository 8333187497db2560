"""One LiDAR frame, whatever data set it came from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.errors import ConfigError, DataFileError
from spikevox.tasks.geometry import box_corners, count_points, points_in_boxes


@dataclass(frozen=True)
class Boxes:
    """Upright boxes in the frame's own coordinates.

    Attributes:
        centers: (B, 3) float64, middle of each box, in metres.
        sizes: (B, 3) float64, length (along the heading), width and height, in metres.
        yaw: (B,) float64, heading about z in radians, 0 along x.
        names: (B,) class of each box.
        identities: (B,) which object it is, the same over the frames of a sequence; ``None`` where the data set does not tell.
        velocities: (B, 2) float64, m/s along x and y, NaN for boxes whose is unknown; ``None`` where the data set does not
            tell.
        scores: (B,) float64, of detections, the higher the surer; ``None`` in ground truth.
        attributes: (B,) what an object is doing, ``""`` where it is not told; ``None`` where the data set does not tell.
        point_counts: (B,) int64, LiDAR and radar points in each box as the data set states them; ``None`` where it does not.
    """

    centers: NDArray[np.float64]
    sizes: NDArray[np.float64]
    yaw: NDArray[np.float64]
    names: tuple[str, ...]
    identities: tuple[str, ...] | None = None
    velocities: NDArray[np.float64] | None = None
    scores: NDArray[np.float64] | None = None
    attributes: tuple[str, ...] | None = None
    point_counts: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def array(self) -> NDArray[np.float64]:
        """(B, 7) x, y, z, length, width, height, yaw, as :mod:`spikevox.tasks.geometry` takes them."""
        return np.concatenate([self.centers, self.sizes, self.yaw[:, None]], axis=1)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "Boxes":
        """Some of the boxes, by row numbers in any order or by a flag for each box."""
        chosen = np.arange(len(self))[rows].tolist()

        def words(values: tuple[str, ...] | None) -> tuple[str, ...] | None:
            return None if values is None else tuple(values[row] for row in chosen)

        return Boxes(
            self.centers[chosen],
            self.sizes[chosen],
            self.yaw[chosen],
            tuple(self.names[row] for row in chosen),
            words(self.identities),
            None if self.velocities is None else self.velocities[chosen],
            None if self.scores is None else self.scores[chosen],
            words(self.attributes),
            None if self.point_counts is None else self.point_counts[chosen],
        )

    def moved(self, pose: NDArray[np.float64]) -> "Boxes":
        """The boxes in other coordinates; a tilt turns headings and velocities as seen from above.

        Args:
            pose: (4, 4) from the boxes' coordinates to the others, such as a frame's pose to the world's.
        """
        headings = np.stack([np.cos(self.yaw), np.sin(self.yaw)], axis=1) @ pose[:2, :2].T
        return replace(
            self,
            centers=self.centers @ pose[:3, :3].T + pose[:3, 3],
            yaw=np.arctan2(headings[:, 1], headings[:, 0]),
            velocities=None if self.velocities is None else self.velocities @ pose[:2, :2].T,
        )

    def corners(self) -> NDArray[np.float64]:
        """(B, 8, 3) corners of each box."""
        return box_corners(self.array())

    def contain(self, points: NDArray[np.floating]) -> NDArray[np.int64]:
        """(P,) the box that each point (P, 3 or more) lies in, -1 for none; of several the first."""
        return points_in_boxes(self.array(), points)

    def count_points(self, points: NDArray[np.floating]) -> NDArray[np.int64]:
        """(B,) how many of the points (P, 3 or more) lie in each box; one in several counts in each."""
        return count_points(self.array(), points)


@dataclass(frozen=True)
class LidarFrame:
    """Points of one sweep and what is known of them.

    Attributes:
        points: (P, C) float32; coordinates in metres, x forward, y left, z up in the sensor's or vehicle's frame.
        columns: names of the C columns, beginning with x, y, z.
        source: sequence and frame, for messages and output files.
        labels: (P,) int64 in the data set's own numbers; ``None`` where there are none.
        instances: (P,) int64, 0 for none; ``None`` where the data set does not tell.
        boxes: 3D boxes; ``None`` where there are none.
        pose: (4, 4) float64, from the frame's coordinates to the world's; ``None`` where unknown.
        time: seconds, on the data set's clock; ``None`` where unknown.
    """

    points: NDArray[np.float32]
    columns: tuple[str, ...]
    source: str
    labels: NDArray[np.int64] | None = None
    instances: NDArray[np.int64] | None = None
    boxes: Boxes | None = None
    pose: NDArray[np.float64] | None = None
    time: float | None = None

    def table(self, columns: Sequence[str]) -> NDArray[np.float32]:
        """(P, len(columns)) these columns of the points.

        Raises:
            ConfigError: a column that the frame does not have.
        """
        absent = [name for name in columns if name not in self.columns]
        if absent:
            raise ConfigError(f"{self.source} has no column {absent[0]!r}; it has {', '.join(self.columns)}.")
        return self.points[:, [self.columns.index(name) for name in columns]]


def check_frame(frame: LidarFrame) -> LidarFrame:
    """The frame, if its parts belong together and all its values are finite.

    Raises:
        DataFileError: no points, values that are not finite, or labels, instances or boxes of other lengths.
    """
    count = len(frame.points)
    if count == 0:
        raise DataFileError(f"{frame.source} holds no points.", frame.source)
    wrong = np.flatnonzero(~np.isfinite(frame.points).all(axis=1))
    if len(wrong):
        raise DataFileError(
            f"{frame.source}: {len(wrong)} of {count} points have NaN or infinite values, first in row {wrong[0]}.",
            frame.source,
        )
    for name, values in (("labels", frame.labels), ("instance ids", frame.instances)):
        if values is not None and len(values) != count:
            raise DataFileError(f"{frame.source} has {count} points and {len(values)} {name}.", frame.source)
    if frame.boxes is not None:
        bad = np.flatnonzero(~np.isfinite(frame.boxes.array()).all(axis=1) | (frame.boxes.sizes <= 0).any(axis=1))
        if len(bad):
            raise DataFileError(
                f"{frame.source}: box {bad[0]} has a size or place that is not finite and positive.", frame.source
            )
    return frame
