"""Objects cut out of frames, with the points that hit them: the database of ground truth of SECOND (Sensors 2018)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.atomic import write_arrays
from spikevox.tasks.datasets.frame import Boxes
from spikevox.tasks.errors import DataFileError
from spikevox.tasks.geometry import points_in_boxes


@dataclass(frozen=True)
class ObjectBank:
    """Objects with their points, where they were in the frames that they come from.

    Attributes:
        boxes: B objects.
        points: of each object (P, C).
        columns: names of the C columns, beginning with x, y, z.

    Example:
        >>> cloud = np.array([[0.1, 0, 0], [0.3, 0, 0], [9, 9, 9]])
        >>> car = Boxes(np.zeros((1, 3)), np.ones((1, 3)), np.zeros(1), ("car",))
        >>> ObjectBank.gather([(cloud, car)], ("x", "y", "z")).points[0].shape
        (2, 3)
    """

    boxes: Boxes
    points: tuple[NDArray[np.floating], ...]
    columns: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.points)

    @classmethod
    def gather(
        cls,
        frames: Iterable[tuple[NDArray[np.floating], Boxes]],
        columns: Sequence[str],
        *,
        least_points: int = 1,
    ) -> "ObjectBank":
        """Cuts the objects out of frames; a point in two boxes goes to the first.

        Args:
            frames: points (P, C) and boxes of each.
            columns: of the points.
            least_points: objects with fewer points are left out.
        """
        rows: list[NDArray[np.float64]] = [np.zeros((0, 7))]
        speeds: list[NDArray[np.float64]] = [np.zeros((0, 2))]
        names: list[str] = []
        points: list[NDArray[np.floating]] = []
        for cloud, boxes in frames:
            table = boxes.array()
            owner = points_in_boxes(table, cloud)
            sizes = np.bincount(owner[owner >= 0], minlength=len(boxes))
            kept = np.flatnonzero(sizes >= max(1, least_points))
            rows.append(table[kept])
            known = boxes.velocities is not None
            speeds.append(boxes.velocities[kept] if known else np.full((len(kept), 2), np.nan))  # type: ignore[index]
            names += [boxes.names[row] for row in kept]
            points += [cloud[owner == row] for row in kept]
        table = np.concatenate(rows)
        found = Boxes(table[:, :3], table[:, 3:6], table[:, 6], tuple(names), velocities=np.concatenate(speeds))
        return cls(found, tuple(points), tuple(columns))

    def save(self, path: str | Path) -> None:
        """Writes an ``.npz`` file; :meth:`load` gives the same back."""
        empty = np.zeros((0, len(self.columns)), np.float32)
        write_arrays(
            Path(path),
            {
                "boxes": self.boxes.array(),
                "velocities": self._velocities(),
                "names": np.array(self.boxes.names, dtype=str),
                "counts": np.array([len(one) for one in self.points], dtype=np.int64),
                "points": np.concatenate([empty, *self.points]) if self.points else empty,
                "columns": np.array(self.columns, dtype=str),
            },
        )

    @classmethod
    def load(cls, path: str | Path) -> "ObjectBank":
        """Reads what :meth:`save` wrote.

        Raises:
            DataFileError: a file that is missing, truncated or of another form.
        """
        path = Path(path)
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                held = {name: file[name] for name in file.files}
            table, names = held["boxes"], tuple(held["names"].tolist())
            boxes = Boxes(table[:, :3], table[:, 3:6], table[:, 6], names, velocities=held["velocities"])
            columns, counts, points = tuple(held["columns"].tolist()), held["counts"], held["points"]
            fits = points.shape == (counts.sum(), len(columns)) and len(table) == len(names) == len(counts)
            if not fits or table.shape[1:] != (7,) or held["velocities"].shape != (len(table), 2):
                raise ValueError("its arrays do not belong together")
        except Exception as error:
            # numpy raises many kinds of errors for files that are damaged.
            raise DataFileError(f"{path} holds no objects ({type(error).__name__}: {error}).", path) from error
        return cls(boxes, tuple(np.split(points, np.cumsum(counts)[:-1])) if len(counts) else (), columns)

    def of_class(self, name: str) -> NDArray[np.int64]:
        """Rows of the objects of a class."""
        return np.flatnonzero([other == name for other in self.boxes.names])

    def _velocities(self) -> NDArray[Any]:
        known = self.boxes.velocities
        return np.full((len(self), 2), np.nan) if known is None else known
