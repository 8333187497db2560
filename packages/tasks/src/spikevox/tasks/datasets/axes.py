"""From axes x right, y forward, z up, which PandaSet and nuScenes have, to x forward, y left, z up; rotations."""

import numpy as np
from numpy.typing import NDArray

# Forward = FROM_RIGHTWARD @ rightward.
FROM_RIGHTWARD = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def to_forward(xyz: NDArray[np.floating]) -> NDArray[np.floating]:
    """(P, 3) with x forward of (P, 3) with y forward; only signs and places change, so that no digit does."""
    # Subtracted, because a minus sign makes -0.0 of 0.0.
    return np.stack([xyz[:, 1], 0 - xyz[:, 0], xyz[:, 2]], axis=1)


def to_rightward(xyz: NDArray[np.floating]) -> NDArray[np.floating]:
    """The inverse of :func:`to_forward`."""
    return np.stack([0 - xyz[:, 1], xyz[:, 0], xyz[:, 2]], axis=1)


def forward_pose(rotation: NDArray[np.floating], position: NDArray[np.floating]) -> NDArray[np.float64]:
    """(4, 4) from our axes to the world, of ``world = rotation @ theirs + position`` with y forward."""
    pose = np.eye(4)
    pose[:3, :3] = rotation @ FROM_RIGHTWARD.T
    pose[:3, 3] = position
    return pose


def move(points: NDArray[np.floating], pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P, 3) float64 of points (P, 3 or more) under a (4, 4) motion."""
    moved: NDArray[np.float64] = points[:, :3].astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]
    return moved


def matrix_from_quaternion(quaternion: NDArray[np.floating]) -> NDArray[np.float64]:
    """(3, 3) rotation of a quaternion (w, x, y, z), which need not be of length 1.

    Raises:
        ValueError: a quaternion of length 0, or that is not finite.
    """
    q = np.asarray(quaternion, dtype=np.float64)
    length = np.linalg.norm(q)
    if q.shape != (4,) or not np.isfinite(length) or length == 0:
        raise ValueError(f"a rotation is a quaternion of four finite numbers, not all 0, got {q.tolist()}.")
    w, x, y, z = q / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_from_matrix(rotation: NDArray[np.floating]) -> NDArray[np.float64]:
    """(4,) quaternion w, x, y, z, w not negative, of a (3, 3) rotation."""
    r = np.asarray(rotation, dtype=np.float64)
    # The eigenvector of the largest eigenvalue: stable for every angle (Bar-Itzhack 2000).
    k = np.array(
        [
            [r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [0, r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0]],
            [0, 0, r[1, 1] - r[0, 0] - r[2, 2], r[1, 2] + r[2, 1]],
            [0, 0, 0, r[2, 2] - r[0, 0] - r[1, 1]],
        ]
    )
    vector: NDArray[np.float64] = np.linalg.eigh(k, UPLO="U")[1][:, -1]
    return vector if vector[0] >= 0 else -vector
