"""What a data set holds: points of each class, and number, size and points of each kind of box."""

from collections.abc import Mapping

import numpy as np

from spikevox.tasks.datasets.frame import LidarFrame


class Statistic:
    """Adds up frames.

    Args:
        label_names: number of each label to its name.

    Attributes:
        frames: number of frames.
        points: number of points.
        labels: points of each label number.
        boxes: for each class (B, 4) length, width, height in metres and points inside of every box.
    """

    def __init__(self, label_names: Mapping[int, str]) -> None:
        self.label_names = label_names
        self.frames = 0
        self.points = 0
        self.labels: dict[int, int] = {}
        self.boxes: dict[str, list[tuple[float, float, float, float]]] = {}

    def add(self, frame: LidarFrame) -> None:
        """Counts a frame."""
        self.frames += 1
        self.points += len(frame.points)
        if frame.labels is not None:
            for number, count in zip(*np.unique(frame.labels, return_counts=True), strict=True):
                self.labels[int(number)] = self.labels.get(int(number), 0) + int(count)
        if frame.boxes is not None:
            inside = frame.boxes.count_points(frame.points)
            for name, size, count in zip(frame.boxes.names, frame.boxes.sizes.tolist(), inside.tolist(), strict=True):
                self.boxes.setdefault(name, []).append((size[0], size[1], size[2], float(count)))

    def lines(self) -> list[str]:
        """A table of the labels and one of the boxes, most frequent first."""
        lines = []
        if self.labels:
            total = sum(self.labels.values())
            lines.append(f"  {'label':<36} {'points':>12} {'share':>8}")
            for number, count in sorted(self.labels.items(), key=lambda item: -item[1]):
                name = f"{number} {self.label_names.get(number, '')}"
                lines.append(f"  {name:<36} {count:>12} {count / total:>8.2%}")
        if self.boxes:
            lines.append(
                f"  {'box':<36} {'number':>8} {'length':>8} {'width':>8} {'height':>8} {'points':>9} {'without':>8}"
            )
            for name, rows in sorted(self.boxes.items(), key=lambda item: -len(item[1])):
                length, width, height, inside = np.mean(rows, axis=0)
                hollow = sum(row[3] == 0 for row in rows)
                lines.append(
                    f"  {name:<36} {len(rows):>8} {length:>8.2f} {width:>8.2f} {height:>8.2f} {inside:>9.1f} {hollow:>8}"
                )
        return lines
