"""What data sets of segmentation share: from a frame with labelled points to voxels with labels."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from spikevox.encoding import VoxelBatch, Voxels, collate
from spikevox.encoding.labels import IGNORE_LABEL
from spikevox.tasks.build import build
from spikevox.tasks.datasets.base import VoxelDataset
from spikevox.tasks.datasets.frame import LidarFrame
from spikevox.tasks.errors import ConfigError, DataFileError
from spikevox.tasks.transforms import mix_samples


class LabelledCloud(NamedTuple):
    """Voxels of a cloud, and the labels of the points that they were made of.

    Attributes:
        voxels: with labels where the points have them.
        labels: (P,) int64, -1 for points that do not count; ``None`` where the frame has no labels.
        sample: index in the batch.
    """

    voxels: Voxels
    labels: NDArray[np.int64] | None
    sample: int = 0


class LabelledBatch(NamedTuple):
    """A batch that a metric can take back to the points.

    Attributes:
        voxels: what the network takes.
        clouds: the clouds that the batch was made of, in order.
    """

    voxels: VoxelBatch
    clouds: tuple[LabelledCloud, ...]


def mixed_batch(clouds: Sequence[LabelledCloud]) -> VoxelBatch:
    """A batch for training; clouds of one sample are merged."""
    return collate([cloud.voxels for cloud in clouds], samples=[cloud.sample for cloud in clouds])


def labelled_batch(clouds: Sequence[LabelledCloud]) -> LabelledBatch:
    """A batch for validation, each cloud a sample of its own."""
    return LabelledBatch(collate([cloud.voxels for cloud in clouds]), tuple(clouds))


class SegmentationDataset(VoxelDataset):
    """Base of data sets with a label for every point.

    A subclass sets ``class_names`` and ``class_map`` and defines ``__len__`` and ``read``, which returns the LidarFrame of
    an index with labels in the data set's own numbers.

    Args:
        mix3d: probability that the clouds of a batch are mixed in pairs (training only).
        **options: see :class:`VoxelDataset`; ``columns`` are chosen from the frame's by name.

    Attributes:
        class_map: label in the data set's own numbers to class, -1 for points that do not count. It has to hold every
            number that occurs, except -1, which never counts.

    Raises:
        ConfigError: a probability outside [0, 1].
    """

    class_map: Mapping[int, int] = MappingProxyType({})
    training_batch = staticmethod(mixed_batch)
    validation_batch = staticmethod(labelled_batch)

    def __init__(self, *, mix3d: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        if not 0 <= mix3d <= 1:
            raise ConfigError(f"mix3d is a probability, got {mix3d}.")
        self.mix3d = mix3d

    @property
    def raw_labels(self) -> tuple[int, ...]:
        """The data set's own number of each class, for files of predictions: the smallest where a class has several."""
        inverse = [
            min((raw for raw, c in self.class_map.items() if c == wanted), default=0)
            for wanted in range(len(self.class_names))
        ]
        return tuple(inverse)

    def read(self, index: int) -> LidarFrame:
        """The frame of an index."""
        raise NotImplementedError

    def frame_name(self, index: int, frame: LidarFrame) -> str:
        """What files about the frame of an index are called after: its source."""
        return frame.source

    def points(self, frame: LidarFrame) -> NDArray[np.float32]:
        """(P, len(columns)) the columns of a frame that the network reads.

        Raises:
            ConfigError: a column that the frame does not have.
        """
        return frame.table(self.pipeline.columns)

    def classes(self, frame: LidarFrame) -> NDArray[np.int64] | None:
        """(P,) class of each point, -1 for those that do not count; ``None`` where the frame has no labels.

        Raises:
            DataFileError: a label that the class map does not have.
        """
        if frame.labels is None:
            return None
        raw, inverse = np.unique(frame.labels, return_inverse=True)
        # -1 in the frame: a point that nobody labelled, such as those of earlier sweeps.
        known = {IGNORE_LABEL: IGNORE_LABEL, **self.class_map}
        unknown = [int(label) for label in raw if int(label) not in known]
        if unknown:
            count = int(np.isin(frame.labels, unknown).sum())
            raise DataFileError(
                f"{frame.source}: {count} of {len(frame.labels)} points have labels that the class map does not hold "
                f"({', '.join(map(str, unknown[:5]))}).",
                frame.source,
            )
        table = np.array([known[int(label)] for label in raw], dtype=np.int64)
        return table[inverse]

    def cloud(self, key: int | tuple[int, int]) -> LabelledCloud:
        """One sample with the labels of its points; ``key`` is an index, or (index, epoch)."""
        index, generator = self._draw(key)
        frame = self.read(index)
        labels = self.classes(frame)
        carried = np.full(len(frame.points), IGNORE_LABEL, dtype=np.int64) if labels is None else labels
        points, carried = self.pipeline.transform(self.points(frame), carried, generator)
        given = None if labels is None else carried
        return LabelledCloud(self.pipeline.voxelize(points, generator, labels=given, source=frame.source), given)

    def __getitem__(self, key: int | tuple[int, int]) -> Voxels:
        """One sample; ``key`` is an index, or (index, epoch) to draw the epoch's random transforms."""
        return self.cloud(key).voxels

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> list[LabelledCloud]:
        """The samples of a batch, for torch's loader; which of them share a sample is drawn from the first key."""
        (first, epoch), count = keys[0], len(keys)
        # A fourth number keeps this generator apart from those of the samples.
        samples = mix_samples(count, self.mix3d, np.random.default_rng([self.seed, epoch, first, 1]))
        return [self.cloud(key)._replace(sample=sample) for key, sample in zip(keys, samples, strict=True)]


class FrameReader(Protocol):
    """What reads the frames of a data set.

    Attributes:
        label_names: number of each point label to its name.
        frames: names of the frames, in order.
    """

    label_names: Mapping[int, str]
    frames: Sequence[str]

    def __len__(self) -> int:
        """Number of frames."""
        ...

    def frame(self, index: int) -> LidarFrame:
        """One frame."""
        ...


def reader_name(reader: FrameReader) -> str:
    """What a reader's frames are called in reports: its ``name``, or that of its class where it has none."""
    return getattr(reader, "name", type(reader).__name__)


def chosen_frames(reader: FrameReader, indices: Sequence[int] | None) -> Sequence[int]:
    """The frames of a reader that belong to a part of it; all of them where none are named.

    Raises:
        ConfigError: a frame that the reader does not have.
    """
    if indices is None:
        return range(len(reader))
    chosen = [int(index) for index in indices]
    absent = [index for index in chosen if not 0 <= index < len(reader)]
    if absent:
        raise ConfigError(f"indices names frame {absent[0]}; {reader_name(reader)} has {len(reader)}.")
    return chosen


class LabelledFrames(SegmentationDataset):
    """Frames of any reader, with classes made of its labels.

    Args:
        frames: the reader, or ``dict(type=..., ...)``.
        classes: name of each class to the labels, in the data set's own numbers, that it takes; predictions are written as
            the first of them. Labels of the reader that no class takes do not count.
        split: what the part of the data set is called in reports.
        indices: frames that belong to it; all of the reader's by default.
        **options: see :class:`SegmentationDataset`.

    Raises:
        ConfigError: a class without labels, a label that two classes take or that the reader does not know, or a frame
            that it does not have.
    """

    def __init__(
        self,
        frames: FrameReader | dict[str, Any],
        *,
        classes: Mapping[str, Sequence[int]],
        split: str = "test",
        indices: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.frames: FrameReader = build(frames)
        self.name = reader_name(self.frames)
        self.split = split
        self.class_names = tuple(classes)
        self.class_map = dict.fromkeys(self.frames.label_names, IGNORE_LABEL)
        self._written = tuple(int(numbers[0]) for numbers in classes.values() if len(numbers))
        for number, numbers in enumerate(classes.values()):
            taken = [label for label in numbers if self.class_map.get(label) != IGNORE_LABEL]
            if taken or not len(numbers):
                raise ConfigError(
                    f"class {self.class_names[number]!r} needs labels that {self.name} knows and no other class takes, got "
                    f"{tuple(numbers)}."
                )
            self.class_map |= dict.fromkeys(numbers, number)
        self.indices = chosen_frames(self.frames, indices)

    @property
    def raw_labels(self) -> tuple[int, ...]:
        """The data set's own number of each class: the first that it takes."""
        return self._written

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, index: int) -> LidarFrame:
        """The frame of an index."""
        return self.frames.frame(self.indices[index])

    def frame_name(self, index: int, frame: LidarFrame) -> str:
        """What the reader calls the frame, such as sequence and number."""
        return self.frames.frames[self.indices[index]]
