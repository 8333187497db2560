"""The yardstick of memory: a frame is given the boxes of the training frame that is nearest in time."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.detection import DetectionDataset
from spikevox.tasks.datasets.frame import LidarFrame
from spikevox.tasks.detection.kitti_ap import KittiResult
from spikevox.tasks.detection.nuscenes_nds import NuScenesResult
from spikevox.tasks.detection.scoring import DetectionScorer
from spikevox.tasks.errors import ConfigError

MEMORIES = {"frame": "in the vehicle's own coordinates", "world": "moved by the poses of both frames"}


class _Moment(NamedTuple):
    """Where and when a frame was taken."""

    pose: NDArray[np.float64]
    time: float


def copy_boxes(train: DetectionDataset, test: DetectionDataset) -> dict[str, KittiResult | NuScenesResult]:
    """Figures of a memory: each test frame has the boxes of one training frame, all with the score 1.

    Args:
        train: training split; its transforms are not used.
        test: test split.

    Returns:
        By the coordinates in which boxes stay where they are: ``"frame"``, the vehicle's own, and ``"world"``, in which a
        street stands still. Nothing where frames have no pose or no time, or both splits begin at the same time: then they
        are not of one drive.

    Raises:
        ConfigError: a training frame without boxes, or a test split without.
    """
    first, asked = _moment(train.read(0)), _moment(test.read(0))
    if first is None or asked is None or first.time == asked.time:
        return {}
    known = []
    for index in range(len(train)):
        frame = train.read(index)
        boxes, moment = train.boxes(frame), _moment(frame)
        if boxes is None:
            raise ConfigError(f"{frame.source} has no boxes: a memory copies boxes.")
        if moment is not None:
            known.append((moment, train.visible(boxes, frame.points)))
    scorers = {name: DetectionScorer(test) for name in MEMORIES}
    for index in range(len(test)):
        frame = test.read(index)
        now = _moment(frame)
        if now is None:
            return {}
        then, boxes = min(known, key=lambda one: abs(one[0].time - now.time))
        scored = replace(boxes, scores=np.ones(len(boxes)))
        scorers["frame"].add(index, frame, scored)
        scorers["world"].add(index, frame, scored.moved(np.linalg.inv(now.pose) @ then.pose))
    return {name: scorer.result() for name, scorer in scorers.items()}


def _moment(frame: LidarFrame) -> _Moment | None:
    return None if frame.pose is None or frame.time is None else _Moment(frame.pose, frame.time)
