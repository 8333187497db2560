"""The yardstick of memory: every point is given the class of the nearest point that was seen in training."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KDTree

from spikevox.tasks.datasets.segmentation import SegmentationDataset
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.segmentation.metric import SegmentationResult, count_pairs, segmentation_result


class _Known(NamedTuple):
    """Points of a frame that have a class."""

    xyz: NDArray[np.float64]
    labels: NDArray[np.int64]
    pose: NDArray[np.float64] | None
    source: str

    def in_world(self) -> "_Known":
        """The same where the frame's pose puts them."""
        if self.pose is None:
            raise ConfigError(f"{self.source} has no pose: its points have no place in the world.")
        return self._replace(xyz=self.xyz @ self.pose[:3, :3].T + self.pose[:3, 3])


def copy_nearest(
    train: Sequence[SegmentationDataset], test: SegmentationDataset, *, most_points: int = 20_000_000
) -> dict[str, SegmentationResult]:
    """Figures of a memory: each point has the class of the nearest training point that has one.

    Args:
        train: training splits; their random transforms are not used.
        test: test split.
        most_points: of all training clouds together; where there are many clouds, each gives an equal part, drawn at random.

    Returns:
        By the coordinates that points are near in: ``"frame"``, each frame's own, and, where all frames have a pose,
        ``"world"``, in which a street stands still.

    Raises:
        ConfigError: a split without labels.
    """
    share = max(1, most_points // max(1, sum(len(data) for data in train)))
    seen, asked = [known for data in train for known in _known(data, share)], _known(test)
    classes = len(test.class_names)
    results = {"frame": _copy(seen, asked, classes)}
    if all(cloud.pose is not None for cloud in (*seen, *asked)):
        results["world"] = _copy([cloud.in_world() for cloud in seen], [cloud.in_world() for cloud in asked], classes)
    return results


def _known(data: SegmentationDataset, most: int | None = None) -> list[_Known]:
    clouds = []
    generator = np.random.default_rng(0)
    for index in range(len(data)):
        frame = data.read(index)
        labels = data.classes(frame)
        if labels is None:
            raise ConfigError(f"{frame.source} has no labels: a memory copies labels and is scored by them.")
        known = np.flatnonzero(labels >= 0)
        if most is not None and len(known) > most:
            known = np.sort(generator.permutation(known)[:most])
        clouds.append(_Known(frame.points[known, :3].astype(np.float64), labels[known], frame.pose, frame.source))
    return clouds


def _copy(seen: Sequence[_Known], asked: Sequence[_Known], classes: int) -> SegmentationResult:
    labels = np.concatenate([cloud.labels for cloud in seen])
    if not len(labels):
        raise ConfigError("no point of the training split has a label of a class: there is nothing to copy.")
    tree = KDTree(np.concatenate([cloud.xyz for cloud in seen]))
    pairs = np.zeros((classes, classes + 1), dtype=np.int64)
    for cloud in asked:
        if len(cloud.labels):
            nearest = tree.query(cloud.xyz, return_distance=False)[:, 0]
            pairs += count_pairs(labels[nearest], cloud.labels, classes, source=cloud.source)
    return segmentation_result(pairs)
