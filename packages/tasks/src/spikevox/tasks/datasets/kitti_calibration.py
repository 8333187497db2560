"""KITTI's calibration of cameras and LiDAR, and the part of a scan that the camera sees."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.atomic import write_atomically
from spikevox.tasks.datasets.lidar_file import homogeneous, numbers, read_text, write_numbers
from spikevox.tasks.errors import DataFileError

IMAGE_SIZE = (1242, 375)
_SHAPES = {
    **{f"P{camera}": (3, 4) for camera in range(4)},
    "R0_rect": (3, 3),
    "Tr_velo_to_cam": (3, 4),
    "Tr_imu_to_velo": (3, 4),
}


@dataclass(frozen=True)
class KittiCalibration:
    """One ``calib`` file.

    Attributes:
        projections: (4, 3, 4) float64, P0 to P3: from rectified camera coordinates to pixels.
        rectification: (3, 3) float64, R0_rect.
        lidar_to_camera: (3, 4) float64, Tr_velo_to_cam.
        imu_to_lidar: (3, 4) float64, Tr_imu_to_velo.
    """

    projections: NDArray[np.float64]
    rectification: NDArray[np.float64]
    lidar_to_camera: NDArray[np.float64]
    imu_to_lidar: NDArray[np.float64]

    def rectified_from_lidar(self) -> NDArray[np.float64]:
        """(4, 4) from LiDAR coordinates to those of the labels: x right, y down, z forward, rectified."""
        return homogeneous(self.rectification) @ homogeneous(self.lidar_to_camera)

    def image_from_lidar(self) -> NDArray[np.float64]:
        """(3, 4) from LiDAR coordinates to pixels of the left colour camera times depth, and depth in metres."""
        return self.projections[2] @ self.rectified_from_lidar()

    def project(self, points: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixels (P, 2) in the left colour camera's image and depths (P,) in metres of points (P, 3 or more)."""
        moved = points[:, :3].astype(np.float64) @ self.rectified_from_lidar()[:3, :3].T
        moved += self.rectified_from_lidar()[:3, 3]
        image = moved @ self.projections[2][:, :3].T + self.projections[2][:, 3]
        depth = image[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            return image[:, :2] / depth[:, None], depth


def read_calibration(path: str | Path) -> KittiCalibration:
    """Reads ``calib/NNNNNN.txt``.

    Raises:
        DataFileError: a missing file, a missing matrix, or one of other than its count of numbers.
    """
    path = Path(path)
    found: dict[str, NDArray[np.float64]] = {}
    for row, line in enumerate(read_text(path).splitlines(), 1):
        key, _, rest = line.partition(":")
        if key.strip() in _SHAPES:
            shape = _SHAPES[key.strip()]
            found[key.strip()] = numbers(rest.split(), shape[0] * shape[1], path, row).reshape(shape)
    missing = [key for key in _SHAPES if key not in found]
    if missing:
        raise DataFileError(f"{path} lacks {', '.join(missing)}; it may be truncated.", path)
    projections = np.stack([found[f"P{camera}"] for camera in range(4)])
    return KittiCalibration(projections, found["R0_rect"], found["Tr_velo_to_cam"], found["Tr_imu_to_velo"])


def write_calibration(path: str | Path, calibration: KittiCalibration) -> None:
    """Writes ``calib/NNNNNN.txt`` so that reading it gives the same numbers."""
    matrices = [
        *calibration.projections,
        calibration.rectification,
        calibration.lidar_to_camera,
        calibration.imu_to_lidar,
    ]
    lines = [f"{key}: {write_numbers(matrix)}\n" for key, matrix in zip(_SHAPES, matrices, strict=True)]
    write_atomically(Path(path), "".join(lines).encode())


def image_size(folder: str | Path, name: str) -> tuple[int, int]:
    """Width and height in pixels of a frame's image.

    From the header of ``image_2/NAME.png``, else from ``image_size_wh.json`` beside the folder, else 1242 x 375.

    Raises:
        DataFileError: an image that is no PNG, or a table of another form.
    """
    folder = Path(folder)
    picture = folder / "image_2" / f"{name}.png"
    if picture.is_file():
        with picture.open("rb") as file:
            head = file.read(24)
        if len(head) < 24 or head[:8] != b"\x89PNG\r\n\x1a\n":
            raise DataFileError(f"{picture} is no PNG, or truncated.", picture)
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    table = folder.parent / "image_size_wh.json"
    if not table.is_file():
        return IMAGE_SIZE
    try:
        sizes: Mapping[str, list[int]] = json.loads(read_text(table))
        width, height = sizes.get(name, IMAGE_SIZE)
        return int(width), int(height)
    except (ValueError, TypeError, AttributeError) as error:
        raise DataFileError(f"{table}: expected names with [width, height] ({error}).", table) from error


def in_view(
    points: NDArray[np.floating], calibration: KittiCalibration, image_size: tuple[int, int] = IMAGE_SIZE
) -> NDArray[np.bool_]:
    """(P,) whether each point (P, 3 or more) lies before the left colour camera and inside its image."""
    pixels, depth = calibration.project(points)
    with np.errstate(invalid="ignore"):
        inside = (pixels >= 0).all(axis=1) & (pixels[:, 0] < image_size[0]) & (pixels[:, 1] < image_size[1])
    return inside & (depth > 0)


def crop_to_view(
    points: NDArray[np.floating], calibration: KittiCalibration, image_size: tuple[int, int] = IMAGE_SIZE
) -> NDArray[np.floating]:
    """The points (P, C) that the left colour camera sees; only there are KITTI's objects labelled."""
    return points[in_view(points, calibration, image_size)]
