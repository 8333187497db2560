"""One LiDAR frame, whatever data set it came from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.errors import DataFileError


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
    """

    centers: NDArray[np.float64]
    sizes: NDArray[np.float64]
    yaw: NDArray[np.float64]
    names: tuple[str, ...]
    identities: tuple[str, ...] | None = None
    velocities: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def corners(self) -> NDArray[np.float64]:
        """(B, 8, 3) corners of each box."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
        local = signs * self.sizes[:, None] / 2
        c, s = np.cos(self.yaw)[:, None], np.sin(self.yaw)[:, None]
        x, y = local[..., 0] * c - local[..., 1] * s, local[..., 0] * s + local[..., 1] * c
        return np.stack([x, y, local[..., 2]], axis=-1) + self.centers[:, None]

    def contain(self, points: NDArray[np.floating]) -> NDArray[np.int64]:
        """(P,) the box that each point (P, 3 or more) lies in, -1 for none; of several the first."""
        result = np.full(len(points), -1, dtype=np.int64)
        for box in range(len(self) - 1, -1, -1):
            moved = points[:, :3] - self.centers[box]
            c, s = np.cos(self.yaw[box]), np.sin(self.yaw[box])
            along, across = moved[:, 0] * c + moved[:, 1] * s, moved[:, 1] * c - moved[:, 0] * s
            half = self.sizes[box] / 2
            result[(np.abs(along) <= half[0]) & (np.abs(across) <= half[1]) & (np.abs(moved[:, 2]) <= half[2])] = box
        return result

    def count_points(self, points: NDArray[np.floating]) -> NDArray[np.int64]:
        """(B,) how many of the points (P, 3 or more) lie in each box; one in several counts in each."""
        ordered = points[np.argsort(points[:, 0])]
        reach = np.hypot(self.sizes[:, 0], self.sizes[:, 1]) / 2
        first = np.searchsorted(ordered[:, 0], self.centers[:, 0] - reach - 1e-3)
        last = np.searchsorted(ordered[:, 0], self.centers[:, 0] + reach + 1e-3)
        counts = np.zeros(len(self), dtype=np.int64)
        for box in range(len(self)):
            one = Boxes(self.centers[[box]], self.sizes[[box]], self.yaw[[box]], self.names[box : box + 1])
            counts[box] = (one.contain(ordered[first[box] : last[box]]) == 0).sum()
        return counts


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
        numbers = np.concatenate([frame.boxes.centers, frame.boxes.sizes, frame.boxes.yaw[:, None]], axis=1)
        bad = np.flatnonzero(~np.isfinite(numbers).all(axis=1) | (frame.boxes.sizes <= 0).any(axis=1))
        if len(bad):
            raise DataFileError(
                f"{frame.source}: box {bad[0]} has a size or place that is not finite and positive.", frame.source
            )
    return frame
