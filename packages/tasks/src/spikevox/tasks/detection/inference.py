"""From a trained detector to boxes in a cloud."""

from typing import Any

import numpy as np
import torch

from spikevox.encoding import collate
from spikevox.layers import reset_states
from spikevox.tasks.datasets.base import PointPipeline
from spikevox.tasks.datasets.frame import Boxes


class BoxPredictor:
    """A trained detector; call it with points.

    Args:
        network: a :class:`~spikevox.tasks.detection.SingleStageDetector` or :class:`~spikevox.tasks.detection.VoxelNeXt`.
        voxels: arguments of a :class:`~spikevox.tasks.datasets.PointPipeline`.

    Attributes:
        class_names: names of the classes.
        pipeline: how points become voxels.
    """

    def __init__(self, network: Any, voxels: dict[str, Any]) -> None:
        self.network = network.eval()
        self.class_names: tuple[str, ...] = self.network.class_names
        self.pipeline = PointPipeline(**voxels)

    @torch.no_grad()
    def __call__(self, points: Any, *, source: str = "point cloud") -> Boxes:
        """Boxes with scores in the points' own coordinates, the best score first.

        Args:
            points: (P, C) numbers; the columns that the network was trained on come first, others are cut off.
            source: what to call the cloud in messages.

        Raises:
            PointCloudError: points that cannot be voxelised.
        """
        table = np.asarray(points)
        table = table[:, : len(self.pipeline.columns)] if table.ndim == 2 else table
        batch = collate([self.pipeline(table, np.random.default_rng(0), source=source)])
        reset_states(self.network)
        boxes: Boxes = self.network(*batch, mode="predict")[0]
        return boxes
