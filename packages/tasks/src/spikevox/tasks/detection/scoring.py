"""Detections of a split by the rules of its data set: KITTI's and nuScenes' official ones, or KITTI's without cameras."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.detection import DetectionDataset
from spikevox.tasks.datasets.frame import Boxes, LidarFrame
from spikevox.tasks.datasets.kitti import KittiObjects
from spikevox.tasks.datasets.kitti_calibration import image_size
from spikevox.tasks.datasets.kitti_label import OBJECT_NAMES, KittiLabel, labels_from_boxes
from spikevox.tasks.datasets.nuscenes import NuScenes
from spikevox.tasks.detection.kitti_ap import KittiResult, kitti_result
from spikevox.tasks.detection.metric import box_result, mean_figures
from spikevox.tasks.detection.nuscenes_nds import NuScenesResult, nuscenes_result
from spikevox.tasks.errors import ConfigError

_KITTI_NAMES = {name.lower(): name for name in OBJECT_NAMES}


def kitti_rows(reader: KittiObjects, index: int, boxes: Boxes) -> tuple[KittiLabel, ...]:
    """Rows of a frame's result file; boxes that its image does not show are left out, as KITTI has no place for them.

    Raises:
        ConfigError: a class that KITTI does not have, whatever its capitals.
    """
    strange = sorted({name for name in boxes.names if name.lower() not in _KITTI_NAMES})
    if strange:
        raise ConfigError(f"KITTI has no class {strange[0]!r}; it has {', '.join(OBJECT_NAMES)}.")
    size = image_size(reader.folder, reader.frames[index])
    rows = labels_from_boxes(boxes, reader.calibration(index), size)
    return tuple(replace(row, name=_KITTI_NAMES[row.name.lower()]) for row in rows if 0 <= row.truncated < 1)


class DetectionScorer:
    """Collects detections of a split frame by frame.

    Args:
        dataset: the split. Frames of :class:`~spikevox.tasks.datasets.KittiObjects` are scored by all of KITTI's rules, those of
            :class:`~spikevox.tasks.datasets.NuScenes` by nuScenes'. Of others the objects count that the data set would give
            to a training: in range, with enough points.
    """

    def __init__(self, dataset: DetectionDataset) -> None:
        self.dataset = dataset
        self.found: list[Boxes] = []
        self._truth: list[Any] = []
        self._origins: list[NDArray[np.float64]] = []
        self._moved: list[Boxes] = []
        self._sources: list[str] = []

    def add(self, index: int, frame: LidarFrame, found: Boxes) -> None:
        """Keeps what was found in the frame of an index of the data set."""
        reader, place = self.dataset.frames, self.dataset.indices[index]
        self.found.append(found)
        self._sources.append(self.dataset.frame_name(index, frame))
        if isinstance(reader, KittiObjects):
            self._truth.append(reader.labels(place))
        elif isinstance(reader, NuScenes):
            # As the development kit does: in the world's coordinates, ranges from the vehicle.
            pose = np.asarray(frame.pose)
            self._truth.append(None if frame.boxes is None else frame.boxes.moved(pose))
            self._origins.append(reader.vehicle(place))
            self._moved.append(found.moved(pose))
        else:
            boxes = self.dataset.boxes(frame)
            self._truth.append(None if boxes is None else self.dataset.visible(boxes, frame.points))

    def result(self) -> KittiResult | NuScenesResult:
        """Figures of all frames.

        Raises:
            ConfigError: a split without ground truth, or for nuScenes classes that are not its own.
        """
        reader, data = self.dataset.frames, self.dataset
        if isinstance(reader, KittiObjects):
            rows = [kitti_rows(reader, data.indices[index], boxes) for index, boxes in enumerate(self.found)]
            return kitti_result(self._truth, rows, min_overlap=data.min_overlap, sources=self._sources)
        if isinstance(reader, NuScenes):
            return nuscenes_result(self._truth, self._moved, origins=np.array(self._origins), classes=data.class_names)
        return box_result(self._truth, self.found, data.min_overlap, sources=self._sources)


def result_figures(result: KittiResult | NuScenesResult) -> dict[str, Any]:
    """Figures as JSON types: those that experiments are compared by, then every row; what is not there is ``None``."""
    rows = [{key: _plain(value) for key, value in row._asdict().items()} for row in result.rows]
    if isinstance(result, KittiResult):
        return {**mean_figures(result), "rows": rows, "frames": result.frames}
    errors = _plain(result.errors)
    return {"mean_ap": result.mean_ap, "nds": result.nds, "errors": errors, "rows": rows, "frames": result.frames}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def check_votes(votes: int) -> None:
    """Raises ConfigError for more than one view: overlapping boxes of views are not merged."""
    if votes != 1:
        raise ConfigError(f"a detector has one view of each frame, got votes of {votes}.")
