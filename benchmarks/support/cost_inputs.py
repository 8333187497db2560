"""One set of points in fewer and more voxels: the voxel size decides."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from spikevox.encoding import VoxelBatch, VoxelGrid, collate, voxelize
from spikevox.layers import GlobalMeanPool, Linear
from spikevox.layers.backbones import Encoder, Voxel8x
from support.inputs import as_int32, first_scan, scan_batch

VOXELS = (0.25, 1.0, 4.0)
# Voxels at scale 1, few enough that the points fill four times as many.
FRAME, SHAPE = 10_000, 850
SHAPES = 20
LOWER, UPPER = (0.0, -40.0, -3.0), (70.4, 40.0, 1.0)


def detection_frame(root: Path, scale: float) -> tuple[nn.Module, VoxelBatch]:
    """The detection backbone on a KITTI frame, in flat voxels as detectors take them."""
    cloud = first_scan(root / "kitti" / "training" / "velodyne", "*.bin")

    def batch(size: float) -> VoxelBatch:
        return scan_batch(cloud, VoxelGrid((size, size, 2 * size), lower=LOWER, upper=UPPER))

    size = _size(lambda size: len(batch(size).coordinates), scale * FRAME, 0.05, 2.0)
    # The grid of detectors at their finest size: coarser voxels fill its lower corner, and its height suits the last layer.
    return Voxel8x(4, grid=(1408, 1600, 41)), as_int32(batch(size))


def classifier_batch(root: Path, scale: float) -> tuple[nn.Module, VoxelBatch]:
    """Classifier T on shapes of 4,096 points."""
    with np.load(root / "modelnet40" / "sample_4096_normals.npz", allow_pickle=False) as file:
        clouds = file["points_q"][:SHAPES] / 32000

    def batch(size: float) -> VoxelBatch:
        return collate([voxelize(cloud, VoxelGrid(size, origin="minimum")) for cloud in clouds])

    size = _size(lambda size: len(batch(size).coordinates), scale * SHAPE * SHAPES, 0.005, 0.5)
    network = nn.Sequential(Encoder("T", in_channels=3), Linear(128, 10), GlobalMeanPool())
    return network, as_int32(batch(size))


def _size(count: Callable[[float], int], wanted: float, small: float, large: float) -> float:
    """Voxel size at which there are about as many voxels as wanted, by halving."""
    for _ in range(12):
        middle = (small * large) ** 0.5
        small, large = (middle, large) if count(middle) > wanted else (small, middle)
    return float(torch.tensor(small * large).sqrt())
