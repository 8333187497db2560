"""Pictures of a validation: what the points are and what the network takes them for, seen from above."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from numpy.typing import NDArray

from spikevox.tasks.datasets.segmentation import SegmentationDataset
from spikevox.tasks.hooks import TrainingLog


class ValidationPictures(Hook):
    """Draws the first clouds of each validation for tensorboard: a mark a voxel, true classes beside predicted ones.

    In several processes those are the first clouds of the first process.

    Args:
        log: the hook that writes.
        dataset: of the validation.
        count: clouds a validation, 0 for none.
    """

    def __init__(self, log: TrainingLog, dataset: SegmentationDataset, count: int = 2) -> None:
        self._log = log
        self._names = dataset.class_names
        self._voxel_size = np.array(dataset.pipeline.grid.voxel_size)
        self.count = count
        self._drawn = 0

    def before_val_epoch(self, runner: Any) -> None:
        """Starts with the first cloud."""
        self._drawn = 0

    def after_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[dict[str, Any]] | None = None
    ) -> None:
        """Draws the clouds of a :class:`~spikevox.tasks.datasets.LabelledBatch` whose turn it is."""
        if not is_main_process():
            return
        for cloud, output in zip(data_batch.clouds, outputs or (), strict=True):
            if self._drawn == self.count:
                return
            self._drawn += 1
            figure = self._figure(cloud.voxels, output["scores"].argmax(dim=1).cpu().numpy())
            self._log.add_figure(f"validation/from above {self._drawn}", figure, runner.iter)

    def _figure(self, voxels: Any, predicted: NDArray[np.int64]) -> Any:
        from spikevox.tasks.view import birdseye_figure

        # From the grid's corner, which lies elsewhere in each cloud where the grid begins at its minimum.
        centres = (voxels.coordinates + 0.5) * self._voxel_size
        return birdseye_figure(centres, [("true", voxels.labels), ("predicted", predicted)], self._names)
