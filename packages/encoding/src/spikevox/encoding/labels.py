"""Labels of points to labels of voxels, and back."""

import numpy as np
from numpy.typing import NDArray

from spikevox.encoding.errors import PointCloudError
from spikevox.encoding.grouping import group_rows

IGNORE_LABEL = -1


def majority_labels(
    labels: NDArray[np.integer], voxel: NDArray[np.integer], count: int, *, ignore_label: int = IGNORE_LABEL
) -> tuple[NDArray[np.int64], int]:
    """The most frequent label of each voxel.

    Points labelled ``ignore_label`` do not vote: a voxel gets it only where no other label is present.
    Of equally frequent labels the smallest wins.

    Args:
        labels: (P,) integer label of each point.
        voxel: (P,) voxel of each point, in ``[0, count)``.
        count: number of voxels.
        ignore_label: the label that does not vote.

    Returns:
        Labels (count,), and the number of voxels in which more than one label voted.

    Example:
        >>> majority_labels(np.array([3, 3, 5, -1]), np.array([0, 0, 0, 1]), 2)
        (array([ 3, -1]), 1)
    """
    result = np.full(count, ignore_label, dtype=np.int64)
    votes = labels != ignore_label
    if not votes.any():
        return result, 0
    cast = np.stack([voxel[votes], labels[votes]], axis=1).astype(np.int64)
    groups = group_rows(cast)
    pairs, ballots = cast[groups.rows[groups.starts]], groups.sizes
    # Ascending by ballots, descending by label: the last writer of a voxel is the winner.
    order = np.lexsort((-pairs[:, 1], ballots))
    result[pairs[order, 0]] = pairs[order, 1]
    return result, int((np.bincount(pairs[:, 0], minlength=count) > 1).sum())


def labels_to_points(
    voxel_labels: NDArray[np.integer], inverse: NDArray[np.integer], *, fill: int = IGNORE_LABEL
) -> NDArray[np.int64]:
    """Gives every point the label of its voxel; ``fill`` where a point has none (``inverse`` is -1)."""
    result = np.full(len(inverse), fill, dtype=np.int64)
    placed = inverse >= 0
    result[placed] = voxel_labels[inverse[placed]]
    return result


def check_labels(labels: NDArray[np.generic], points: int, source: str) -> NDArray[np.int64]:
    """Checks that there is one integer label a point.

    Raises:
        PointCloudError: another shape or a type that is not integer.
    """
    array = np.asarray(labels)
    if array.shape != (points,) or array.dtype.kind not in "iu":
        raise PointCloudError(
            f"{source}: expected one integer label for each of {points} points, got shape {array.shape} and "
            f"dtype {array.dtype}."
        )
    return array.astype(np.int64)
