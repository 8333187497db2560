"""Objects of other frames pasted into a frame, so that a detector sees more of them (SECOND, Sensors 2018, section 3.2.1)."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.frame import Boxes
from spikevox.tasks.datasets.object_bank import ObjectBank
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.geometry import bev_iou, points_in_boxes

# Points around a place that tell where the ground is, how far around, and which of their heights it is.
_GROUND_POINTS, _GROUND_MARGIN, _GROUND_SHARE = 5, 1.0, 0.1
# What stands higher than this above the ground is in the way of an object.
_KERB = 0.4


class PasteObjects:
    """Pastes objects of a bank at the places that they had in their own frames, where nothing is in the way.

    An object is left out whose box overlaps, seen from above, any box of the frame or one pasted before, or whose place is taken
    by points of the scene, such as those of a wall. It is moved up or down to stand on the ground that the points around its
    place show. Points of the scene within its box are dropped. What it would hide behind it stays.

    Args:
        counts: class to the number of objects that are drawn for a frame.
        least_points: objects with fewer points are not drawn.
        bank: file of an :class:`ObjectBank`; by default the objects of the data set itself, gathered when the first sample is
            asked for.
        most_inside: points of the scene, more than 0.4 m above the underside, that a place may have.
        on_ground: whether objects are moved to the ground; otherwise they keep their height.

    Raises:
        ConfigError: a count below 0.
    """

    def __init__(
        self,
        counts: Mapping[str, int],
        *,
        least_points: int = 5,
        bank: str | Path | None = None,
        most_inside: int = 5,
        on_ground: bool = True,
    ) -> None:
        self.counts = dict(counts)
        if not self.counts or min(self.counts.values()) < 0:
            raise ConfigError(f"counts are numbers of objects from 0 on, a class each, got {self.counts}.")
        self.least_points = least_points
        self.bank = None if bank is None else Path(bank)
        self.most_inside = most_inside
        self.on_ground = on_ground

    def __call__(
        self,
        points: NDArray[np.floating],
        boxes: Boxes,
        obstacles: Boxes,
        bank: ObjectBank,
        generator: np.random.Generator,
    ) -> tuple[NDArray[np.floating], Boxes]:
        """Points and boxes with the pasted objects behind them.

        Args:
            points: (P, C) of the frame.
            boxes: that are learnt from.
            obstacles: all boxes of the frame.
            bank: objects whose columns are those of the points.
            generator: draws the objects.
        """
        rows = self._draw(bank, generator)
        drawn = bank.boxes.array()[rows]
        table = np.concatenate([obstacles.array(), drawn])
        meets = bev_iou(drawn, table) > 0
        taken = np.zeros(len(table), dtype=bool)
        taken[: len(obstacles)] = True
        scene = points[points_in_boxes(obstacles.array(), points) < 0]
        kept, lifts = [], []
        for place, row in enumerate(rows):
            if meets[place, taken].any():
                continue
            lift = self._lift(drawn[place], scene) if self.on_ground else 0.0
            if self._inside(drawn[place], scene, lift) > self.most_inside:
                continue
            taken[len(obstacles) + place] = True
            kept.append(row)
            lifts.append(lift)
        return _pasted(points, boxes, bank, kept, np.array(lifts))

    def _draw(self, bank: ObjectBank, generator: np.random.Generator) -> list[int]:
        """Rows of objects in random order, none twice."""
        found: list[int] = []
        for name, count in self.counts.items():
            rows = [row for row in bank.of_class(name) if len(bank.points[row]) >= self.least_points]
            found += generator.permutation(rows)[:count].astype(np.int64).tolist()
        return found

    def _lift(self, box: NDArray[np.float64], scene: NDArray[np.floating]) -> float:
        """From the box's underside to the ground at its place; 0 where too few points tell."""
        around = box.copy()
        around[3:5] += 2 * _GROUND_MARGIN
        heights = _under(around, scene)[:, 2]
        if len(heights) < _GROUND_POINTS:
            return 0.0
        return float(np.quantile(heights, _GROUND_SHARE) - (box[2] - box[5] / 2))

    def _inside(self, box: NDArray[np.float64], scene: NDArray[np.floating], lift: float) -> int:
        heights = _under(box, scene)[:, 2] - (box[2] - box[5] / 2 + lift)
        return int(((heights > _KERB) & (heights < box[5])).sum())


def _under(box: NDArray[np.float64], points: NDArray[np.floating]) -> NDArray[np.floating]:
    """Points that lie in a box when seen from above."""
    column = box.copy()
    column[2], column[5] = 0, 1e6
    near = points[np.abs(points[:, :2] - box[:2]).max(axis=1) <= np.hypot(*box[3:5]) / 2]
    return near[points_in_boxes(column[None], near) >= 0]


def _pasted(
    points: NDArray[np.floating], boxes: Boxes, bank: ObjectBank, rows: list[int], lifts: NDArray[np.float64]
) -> tuple[NDArray[np.floating], Boxes]:
    if not rows:
        return points, boxes
    added = bank.boxes.take(np.array(rows))
    centers = added.centers.copy()
    centers[:, 2] += lifts
    added = replace(added, centers=centers)
    clouds = [points[points_in_boxes(added.array(), points) < 0]]
    for row, lift in zip(rows, lifts, strict=True):
        cloud = bank.points[row].astype(points.dtype)
        cloud[:, 2] += lift
        clouds.append(cloud)
    return np.concatenate(clouds), join_boxes(boxes, added)


def join_boxes(first: Boxes, second: Boxes) -> Boxes:
    """Boxes of both, with velocities where either has some, NaN for those that are not known; nothing else goes along."""
    known = [one.velocities for one in (first, second)]
    velocities = None
    if any(one is not None for one in known):
        parts = [
            np.full((len(one), 2), np.nan) if one.velocities is None else one.velocities for one in (first, second)
        ]
        velocities = np.concatenate(parts)
    table = np.concatenate([first.array(), second.array()])
    return Boxes(table[:, :3], table[:, 3:6], table[:, 6], (*first.names, *second.names), velocities=velocities)
