"""From a network that labels voxels to scores of every point, also of those that no voxel stands for."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import KDTree
from torch import nn

from spikevox.encoding import Voxels, collate
from spikevox.layers import reset_states
from spikevox.tasks.datasets.base import PointPipeline
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.transforms import linear_map

Outside = Literal["nearest", "none"]
MOST_VIEWS = 8


def turned_views(count: int) -> list[NDArray[np.float64]]:
    """The first of eight 3x3 matrices: turns about z by 0, 90, 180 and 270 degrees, then the same after a mirror in x.

    Raises:
        ConfigError: a count outside [1, 8].
    """
    if not 1 <= count <= MOST_VIEWS:
        raise ConfigError(f"votes of a segmentation are views, from 1 to {MOST_VIEWS}, got {count}.")
    views = []
    for view in range(count):
        c, s = ((1, 0), (0, 1), (-1, 0), (0, -1))[view % 4]
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=np.float64)
        views.append(turn @ np.diag([-1.0, 1.0, 1.0]) if view >= 4 else turn)
    return views


def cover_points(inverse: NDArray[np.integer], limit: int | None = None) -> list[NDArray[np.int64]]:
    """Rows of fragments of a cloud: each has one point of each voxel, and all of them together have every point.

    The k-th fragment takes of a voxel with n points the one in place ``k mod n``, so there are as many fragments as the
    fullest voxel has points.

    Args:
        inverse: (P,) voxel of each point, -1 for points that are in none: no fragment has them.
        limit: most fragments; with fewer than the fullest voxel has points some points are in none.

    Example:
        >>> [rows.tolist() for rows in cover_points(np.array([0, 1, 0, -1, 0]))]
        [[0, 1], [2, 1], [4, 1]]
    """
    rows = np.flatnonzero(inverse >= 0)
    rows = rows[np.argsort(inverse[rows], kind="stable")]
    sizes = np.bincount(inverse[rows])
    sizes = sizes[sizes > 0]
    starts = np.cumsum(sizes) - sizes
    count = int(sizes.max(initial=0)) if limit is None else min(limit, int(sizes.max(initial=0)))
    return [rows[starts + k % sizes] for k in range(count)]


def point_scores(
    scores: NDArray[np.floating], voxels: Voxels, xyz: NDArray[np.floating], outside: Outside = "nearest"
) -> NDArray[np.float32]:
    """Scores of voxels to scores of points.

    Args:
        scores: (V, classes), a row a voxel.
        voxels: made of the points.
        xyz: (P, 3) the points.
        outside: what a point that is in no voxel, as one out of the grid's range, gets: the scores of the voxel whose
            point is nearest to it, or zeros.

    Returns:
        (P, classes); all zeros where the cloud has no voxel at all.
    """
    result = np.zeros((len(voxels.inverse), scores.shape[1]), dtype=np.float32)
    placed = voxels.inverse >= 0
    result[placed] = scores[voxels.inverse[placed]]
    if outside == "nearest" and not placed.all() and len(voxels):
        tree = KDTree(xyz[voxels.first_rows])
        result[~placed] = scores[tree.query(xyz[~placed], return_distance=False)[:, 0]]
    return result


def most_likely(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """(P,) the class of the largest score, -1 where all are 0."""
    return np.where(scores.any(axis=1), scores.argmax(axis=1), -1)


class PointSegmenter:
    """A trained segmenter; call it with points.

    Args:
        network: a Segmenter.
        voxels: options of the PointPipeline that makes its voxels; random transforms have no place here.
        views: turned and mirrored views of each cloud whose scores are summed, see :func:`turned_views`.
        fragments: most fragments a view, see :func:`cover_points`, each of which shows the network another point of
            every voxel. A point has the scores that its voxel gets where the point stands for it; one that is in no
            fragment has those of the first. With 1, all points of a voxel share its scores. ``None``: as many as it takes.
        outside: see :func:`point_scores`.
        class_names: names of the classes, in the order of the scores; kept for the caller.

    Raises:
        ConfigError: views outside [1, 8], fewer than one fragment, or an unknown ``outside``.
    """

    def __init__(
        self,
        network: nn.Module,
        voxels: dict[str, Any],
        *,
        views: int = 1,
        fragments: int | None = 1,
        outside: Outside = "nearest",
        class_names: Sequence[str] = (),
    ) -> None:
        if (fragments is not None and fragments < 1) or outside not in ("nearest", "none"):
            raise ConfigError(
                f"fragments is at least 1 and outside 'nearest' or 'none', got {fragments} and {outside!r}."
            )
        self.network = network.eval()
        self.pipeline = PointPipeline(**voxels)
        self.views = turned_views(views)
        self.fragments = fragments
        self.outside = outside
        self.class_names = tuple(class_names)

    def __call__(self, points: NDArray[np.floating], *, source: str = "point cloud") -> NDArray[np.float32]:
        """Scores (P, classes) of every point; they sum to 1, or to 0 where nothing can be said of a point.

        Args:
            points: (P, columns of the pipeline) numbers.
            source: what to call the cloud in messages.

        Raises:
            PointCloudError: points that cannot be voxelised.
        """
        votes = []
        for matrix in self.views:
            turned = linear_map(points, self.pipeline.columns, matrix)
            for transform in self.pipeline.transforms:
                turned = transform(turned, self.pipeline.columns, np.random.default_rng(0))
            votes.append(self._view(turned, source))
        return np.mean(votes, axis=0, dtype=np.float32)

    def _view(self, points: NDArray[np.floating], source: str) -> NDArray[np.float32]:
        whole = self._voxelize(points, source, self.pipeline.reduce)
        if self.fragments == 1 or self.pipeline.reduce in ("mean", "max") or not len(whole):
            # Where a voxel carries something of all its points, no other point can stand for it.
            return point_scores(self._scores(whole), whole, points[:, :3], self.outside)
        return self._fragments(points, cover_points(whole.inverse, self.fragments), source)

    def _fragments(
        self, points: NDArray[np.floating], fragments: list[NDArray[np.int64]], source: str
    ) -> NDArray[np.float32]:
        sums = np.zeros((0, 0), dtype=np.float32)
        times = np.zeros(len(points), dtype=np.int64)
        for rows in fragments:
            # The fragment's points come first and stand for their voxels; with the others the grid stays where it is.
            order = np.concatenate([rows, np.setdiff1d(np.arange(len(points)), rows, assume_unique=True)])
            voxels = self._voxelize(points[order], source, "first")
            scores = self._scores(voxels)
            if not len(sums):
                first = np.empty((len(points), scores.shape[1]), dtype=np.float32)
                first[order] = point_scores(scores, voxels, points[order, :3], self.outside)
                sums = np.zeros_like(first)
            sums[rows] += scores[voxels.inverse[: len(rows)]]
            times[rows] += 1
        return np.where(times[:, None] > 0, sums / np.maximum(times, 1)[:, None], first)

    def _voxelize(self, points: NDArray[np.floating], source: str, reduce: str) -> Voxels:
        return self.pipeline.voxelize(points, np.random.default_rng(0), reduce=reduce, source=source)

    @torch.no_grad()
    def _scores(self, voxels: Voxels) -> NDArray[np.float32]:
        reset_states(self.network)
        return self.network(*collate([voxels]), mode="predict")[0]["scores"].float().numpy()
