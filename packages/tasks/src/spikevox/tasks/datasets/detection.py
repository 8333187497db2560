"""What detectors learn from: frames of any reader, as voxels and boxes of chosen classes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spikevox.encoding import Voxels, collate
from spikevox.encoding.report import VoxelReport
from spikevox.tasks.build import build
from spikevox.tasks.datasets.balance import balanced_rows
from spikevox.tasks.datasets.base import VoxelDataset
from spikevox.tasks.datasets.frame import Boxes, LidarFrame
from spikevox.tasks.datasets.object_bank import ObjectBank
from spikevox.tasks.datasets.pasting import PasteObjects
from spikevox.tasks.datasets.segmentation import FrameReader, chosen_frames, reader_name
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.transforms import Motion, affine_map

# Overlap that a found box must exceed, as KITTI asks of cars; of all others half.
_CAR_OVERLAP, _OVERLAP = 0.7, 0.5


class BoxedCloud(NamedTuple):
    """Voxels of a cloud, and the objects in it.

    Attributes:
        voxels: of the points.
        boxes: in the coordinates of the points that the voxels were made of; ``None`` where the frame has none.
    """

    voxels: Voxels
    boxes: Boxes | None


class DetectionBatch(NamedTuple):
    """Voxels and boxes of several clouds.

    Attributes:
        coordinates: (N, 4) int32: sample, x, y, z; unique and in lexicographic order.
        features: (N, F) float32.
        boxes: of each sample; ``None`` where a frame has none.
        batch_size: B; a sample without voxels counts.
        report: what became of every point.
        sources: of each sample, for messages.
    """

    coordinates: Tensor
    features: Tensor
    boxes: tuple[Boxes, ...] | None
    batch_size: int
    report: VoxelReport
    sources: tuple[str, ...]


def detection_batch(clouds: Sequence[BoxedCloud]) -> DetectionBatch:
    """Joins clouds into one batch, each a sample of its own."""
    voxels = collate([cloud.voxels for cloud in clouds])
    boxes = tuple(cloud.boxes for cloud in clouds if cloud.boxes is not None)
    return DetectionBatch(
        voxels.coordinates,
        voxels.features,
        boxes if len(boxes) == len(clouds) else None,
        voxels.batch_size,
        voxels.report,
        tuple(cloud.voxels.source for cloud in clouds),
    )


def map_boxes(boxes: Boxes, motion: NDArray[np.float64]) -> Boxes:
    """Boxes that go along with points under :func:`~spikevox.tasks.transforms.affine_map`.

    Args:
        boxes: to be moved.
        motion: (4, 4): a turn or mirror, times one factor, which sizes and velocities grow by, and a shift. Its inverse takes the
            boxes back.
    """
    factor = abs(np.linalg.det(motion[:3, :3])) ** (1 / 3)
    return replace(boxes.moved(motion), sizes=boxes.sizes * factor)


class DetectionDataset(VoxelDataset):
    """Frames of any reader, with boxes of chosen classes.

    Args:
        frames: the reader, or ``dict(type=..., ...)``.
        classes: name of each class to the reader's names of boxes that it takes. Boxes of other names are left out.
        split: what the part of the data set is called in reports.
        indices: frames that belong to it; all of the reader's by default.
        least_points: boxes with fewer points are left out: nobody could find them.
        min_overlap: class to the overlap that a found box must exceed to count, seen from above and in space; 0.7 for a
            class called car, 0.5 for others by default.
        balanced: for training: whether frames are drawn anew, with repetition, so that each class is the reason for equally many,
            see :func:`~spikevox.tasks.datasets.balanced_rows`; the same in every run.
        paste: for training: a :class:`PasteObjects`, or its arguments as a dict; objects are pasted before all transforms.
        **options: see :class:`VoxelDataset`; ``columns`` are chosen from the frame's by name, and the grid needs a range.
            Transforms must keep boxes: turns, mirrors, shifts, equal scales, and those that leave coordinates or add noise.

    Raises:
        ConfigError: no class, a box name that two classes take, an index that the reader does not have, a grid without range or
            with a moving origin, a transform that boxes cannot go along with, or an overlap outside 0 to 1 or of no class.

    Example:
        >>> from spikevox.tasks.datasets import StreetFrames
        >>> grid = dict(voxel_size=0.2, lower=(-40, -40, -3), upper=(40, 40, 1))
        >>> streets = DetectionDataset(StreetFrames(2), classes={"car": ["car", "van"]}, grid=grid, least_points=5)
        >>> set(streets.cloud(0).boxes.names)
        {'car'}
    """

    training_batch = staticmethod(detection_batch)
    validation_batch = staticmethod(detection_batch)

    def __init__(
        self,
        frames: FrameReader | dict[str, Any],
        *,
        classes: Mapping[str, Sequence[str]],
        split: str = "test",
        indices: Sequence[int] | None = None,
        least_points: int = 1,
        min_overlap: Mapping[str, float] | None = None,
        balanced: bool = False,
        paste: PasteObjects | Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.frames: FrameReader = build(frames)
        self.name = reader_name(self.frames)
        self.split = split
        self.class_names = tuple(classes)
        self.class_of = _box_classes(classes)
        self.least_points = least_points
        self.min_overlap = _overlaps(self.class_names, min_overlap)
        if self.pipeline.grid.lower is None or self.pipeline.grid.origin != "absolute":
            raise ConfigError("detection needs a grid with lower and upper and origin='absolute': anchors stand on it.")
        for transform in self.pipeline.transforms:
            if not transform.keeps_boxes():
                raise ConfigError(f"boxes cannot go along with {transform}: leave it out.")
        self.indices = chosen_frames(self.frames, indices)
        if balanced:
            held = [self._classes_of(index) for index in self.indices]
            rows = balanced_rows(held, self.class_names, np.random.default_rng(0))
            self.indices = [self.indices[row] for row in rows]
        self.paste = PasteObjects(**paste) if isinstance(paste, Mapping) else paste
        self._bank: ObjectBank | None = None
        strange = sorted(set(() if self.paste is None else self.paste.counts) - set(self.class_names))
        if strange:
            raise ConfigError(f"there is no class {strange[0]!r} to paste; there are {', '.join(self.class_names)}.")

    @property
    def metric_options(self) -> dict[str, Any]:
        """What the metric of a validation is built with."""
        return {"min_overlap": self.min_overlap}

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, index: int) -> LidarFrame:
        """The frame of an index."""
        return self.frames.frame(self.indices[index])

    def frame_name(self, index: int, frame: LidarFrame) -> str:
        """What the reader calls the frame, such as sequence and number."""
        return self.frames.frames[self.indices[index]]

    def boxes(self, frame: LidarFrame) -> Boxes | None:
        """Boxes of the classes, named by them; ``None`` where the frame has none."""
        if frame.boxes is None:
            return None
        chosen = frame.boxes.take(np.array([name in self.class_of for name in frame.boxes.names], dtype=bool))
        return replace(chosen, names=tuple(self.class_of[name] for name in chosen.names))

    def visible(self, boxes: Boxes, points: NDArray[np.floating]) -> Boxes:
        """Boxes whose middle lies in the grid's range and that hold enough of the points in it."""
        grid = self.pipeline.grid
        boxes = boxes.take(_inside(grid, boxes.centers))
        return boxes.take(boxes.count_points(points[_inside(grid, points[:, :3])]) >= self.least_points)

    def bank(self) -> ObjectBank:
        """Objects to paste: of the file that ``paste`` names, or of all frames of the data set, read when first asked for.

        Raises:
            ConfigError: a file whose objects have other columns than the frames' chosen ones.
            DataFileError: a file that holds no objects.
        """
        if self._bank is None:
            path, columns = None if self.paste is None else self.paste.bank, self.pipeline.columns
            bank = self.cut_objects() if path is None else ObjectBank.load(path)
            if bank.columns != columns:
                raise ConfigError(
                    f"objects to paste have the columns {', '.join(bank.columns)}, points {', '.join(columns)}."
                )
            self._bank = bank
        return self._bank

    def cut_objects(self) -> ObjectBank:
        """Objects of all frames, with the points that they hold, to paste into others."""
        return ObjectBank.gather(self._objects(), self.pipeline.columns)

    def _classes_of(self, index: int) -> set[str]:
        """Classes that occur in a frame of the reader; without its points where the reader tells names alone."""
        tell = getattr(self.frames, "box_names", None)
        boxes = None if tell else self.frames.frame(index).boxes
        names = tell(index) if tell else () if boxes is None else boxes.names
        return {self.class_of[name] for name in names if name in self.class_of}

    def _objects(self) -> Iterator[tuple[NDArray[np.floating], Boxes]]:
        for index in dict.fromkeys(self.indices):
            frame = self.frames.frame(index)
            boxes = self.boxes(frame)
            if boxes is not None:
                yield frame.table(self.pipeline.columns), self.visible(boxes, frame.points)

    def cloud(self, key: int | tuple[int, int]) -> BoxedCloud:
        """One sample; ``key`` is an index, or (index, epoch) to draw the epoch's random transforms."""
        index, generator = self._draw(key)
        frame = self.read(index)
        columns = self.pipeline.columns
        points: NDArray[np.floating] = frame.table(columns)
        boxes = self.boxes(frame)
        if self.paste is not None and boxes is not None and frame.boxes is not None:
            points, boxes = self.paste(points, boxes, frame.boxes, self.bank(), generator)
        for transform in self.pipeline.transforms:
            if isinstance(transform, Motion):
                motion = transform.draw(generator)
                points = affine_map(points, columns, motion)
                boxes = None if boxes is None else map_boxes(boxes, motion)
            else:
                points = transform(points, columns, generator)
        voxels = self.pipeline.voxelize(points, generator, source=frame.source)
        return BoxedCloud(voxels, None if boxes is None else self.visible(boxes, points))

    def __getitem__(self, key: int | tuple[int, int]) -> Any:
        """As :meth:`cloud`."""
        return self.cloud(key)


def _inside(grid: Any, xyz: NDArray[np.floating]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = grid.inside(xyz)
    return inside


def _box_classes(classes: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Name of a box to its class."""
    result: dict[str, str] = {}
    for name, taken in classes.items():
        if not taken or isinstance(taken, str) or set(taken) & set(result):
            raise ConfigError(
                f"class {name!r} needs a list of names of boxes that no other class takes, got {taken!r}."
            )
        result |= dict.fromkeys(taken, name)
    if not result:
        raise ConfigError("detection needs at least one class.")
    return result


def _overlaps(names: Sequence[str], given: Mapping[str, float] | None) -> dict[str, float]:
    result = {name: _CAR_OVERLAP if name.lower() == "car" else _OVERLAP for name in names} | dict(given or {})
    wrong = [name for name, value in result.items() if name not in names or not 0 < value < 1]
    if wrong:
        raise ConfigError(
            f"min_overlap lies between 0 and 1 and belongs to a class, got {wrong[0]!r}: {result[wrong[0]]}."
        )
    return result
