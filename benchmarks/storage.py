"""Size of stored spike trains against the raw float clouds they come from, and the error of what is decoded.

Real scans from SPIKEVOX_DATA; voxels of 0.1 m, features offset and intensity as direct code with D = 4.
"""

import os
from pathlib import Path

import numpy as np
import torch

from spikevox.encoding import VoxelGrid, direct_decode, direct_encode, pack_spikes, unpack_spikes, voxelize

SCANS = {
    "KITTI 000008": ("kitti/training/velodyne/000008.bin", 4),
    "SemanticKITTI 00/000000": ("semantickitti/sequences/00/velodyne/000000.bin", 4),
    "nuScenes sweep": ("nuscenes/n015-2018-07-24-11-22-45+0800__LIDAR_TOP__1532402927647951.pcd.bin", 5),
    "PandaSet 002/00": ("pandaset/002/00.npz", 0),
}
COLUMNS = ("x", "y", "z", "intensity")


def read(path: Path, columns: int) -> np.ndarray:
    """Points (P, 4): x, y, z, intensity in [0, 1]."""
    if columns:
        points = np.fromfile(path, np.float32).reshape(-1, columns)[:, :4].copy()
    else:
        frame = np.load(path, allow_pickle=False)
        points = np.column_stack([frame["xyz_cm"] / 100, frame["intensity"]]).astype(np.float32)
    points[:, 3] /= max(1.0, points[:, 3].max())
    return points


def main() -> None:
    """Prints the table."""
    root = Path(os.environ.get("SPIKEVOX_DATA", "data"))
    print(f"{'scan':<26}{'points':>9}{'voxels':>9}{'raw kB':>9}{'stored kB':>11}{'raw/stored':>12}{'max error':>11}")
    for name, (file, columns) in SCANS.items():
        if not (root / file).exists():
            print(f"{name:<26}not in {root}; set SPIKEVOX_DATA")
            continue
        points = read(root / file, columns)
        voxels = voxelize(points, VoxelGrid(0.1), columns=COLUMNS, features=("offset", "intensity"), reduce="mean")
        values = torch.from_numpy(voxels.features + np.float32([0.5, 0.5, 0.5, 0])).clamp(0, 1)
        data = pack_spikes(voxels.coordinates, direct_encode(values, levels=4))
        coordinates, train = unpack_spikes(data)
        if not np.array_equal(coordinates, voxels.coordinates):
            raise SystemExit(f"{name}: coordinates did not come back")
        error = float((direct_decode(train) - values).abs().max())
        ratio = points.nbytes / len(data)
        print(
            f"{name:<26}{len(points):>9}{len(voxels):>9}{points.nbytes / 1e3:>9.0f}{len(data) / 1e3:>11.0f}"
            f"{ratio:>12.1f}{error:>11.3f}"
        )


if __name__ == "__main__":
    main()
