"""PandaSet's axes: x right, y forward, z up, turned into x forward, y left, z up."""

import numpy as np
from numpy.typing import NDArray

# Ours = FROM_PANDASET @ theirs.
FROM_PANDASET = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def to_forward(xyz: NDArray[np.floating]) -> NDArray[np.floating]:
    """(P, 3) with x forward of (P, 3) with y forward; only signs and places change, so that no digit does."""
    # Subtracted, because a minus sign makes -0.0 of 0.0.
    return np.stack([xyz[:, 1], 0 - xyz[:, 0], xyz[:, 2]], axis=1)


def to_rightward(xyz: NDArray[np.floating]) -> NDArray[np.floating]:
    """The inverse of :func:`to_forward`."""
    return np.stack([0 - xyz[:, 1], xyz[:, 0], xyz[:, 2]], axis=1)


def pose_from_pandaset(rotation: NDArray[np.floating], position: NDArray[np.floating]) -> NDArray[np.float64]:
    """(4, 4) from our axes to the world, of ``world = rotation @ theirs + position``."""
    pose = np.eye(4)
    pose[:3, :3] = rotation @ FROM_PANDASET.T
    pose[:3, 3] = position
    return pose
