"""Real inputs as voxel batches: ModelNet10 shapes, a KITTI frame, a SemanticKITTI scan."""

from pathlib import Path

import torch

from spikevox.encoding import VoxelBatch, VoxelGrid, collate, voxelize
from spikevox.tasks.datasets import ModelNet
from spikevox.tasks.datasets.points import PointFile, read_points


def shapes(root: Path, count: int, voxel_size: float = 0.04) -> VoxelBatch:
    """Clean views of shapes from all classes of ModelNet10's test split, features x, y, z."""
    data = ModelNet("test", data_root=root / "modelnet10", grid={"voxel_size": voxel_size, "origin": "minimum"})
    step = len(data) // count
    return collate([data[i] for i in range(0, step * count, step)])


def first_scan(folder: Path, pattern: str) -> PointFile:
    """The first file in a folder of scans."""
    files = sorted(folder.glob(pattern))
    if not files:
        raise SystemExit(f"no {pattern} in {folder}: set SPIKEVOX_DATA to the folder of the data")
    return read_points(files[0])


def scan_batch(cloud: PointFile, grid: VoxelGrid) -> VoxelBatch:
    """A scan in a grid; features x, y, z and intensity, each scaled to 1."""
    batch = collate([voxelize(cloud.points, grid, columns=cloud.columns, features=("xyz", "intensity"))])
    scale = batch.features.abs().amax(dim=0).clamp(min=1e-6)
    return batch._replace(features=(batch.features / scale).contiguous())


def kitti_frame(root: Path) -> VoxelBatch:
    """The first frame, in the grid of KITTI's detectors: 1408 x 1600 x 40 voxels of 5 x 5 x 10 cm."""
    grid = VoxelGrid((0.05, 0.05, 0.1), lower=(0.0, -40.0, -3.0), upper=(70.4, 40.0, 1.0))
    return scan_batch(first_scan(root / "kitti" / "training" / "velodyne", "*.bin"), grid)


def semantickitti_scan(root: Path) -> VoxelBatch:
    """The first scan, in voxels of 5 cm."""
    scan = first_scan(root / "semantickitti" / "sequences", "*/velodyne/*.bin")
    return scan_batch(scan, VoxelGrid(0.05, origin="minimum"))


def split(batch: VoxelBatch) -> list[VoxelBatch]:
    """Each sample as a batch of its own."""
    parts = []
    for sample in range(batch.batch_size):
        rows = batch.coordinates[:, 0] == sample
        coordinates = batch.coordinates[rows].clone()
        coordinates[:, 0] = 0
        parts.append(VoxelBatch(coordinates, batch.features[rows].contiguous(), None, 1, batch.report))
    return parts


def as_int32(batch: VoxelBatch) -> VoxelBatch:
    """Coordinates as both engines take them."""
    return batch._replace(coordinates=batch.coordinates.to(torch.int32).contiguous(), features=batch.features.float())
