"""Every coder on real scans: spikes a value, size of the stored train against the raw cloud, mean and largest error.

Voxels of 0.1 m; offsets and intensity in [0, 1] are coded; raw is x, y, z, intensity as float32 for every point. Delta
codes the same voxels over PandaSet frames that the pose moves into the first one's frame.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spikevox.encoding import (
    SpikeTrain,
    VoxelGrid,
    delta_decode,
    delta_encode,
    direct_decode,
    direct_encode,
    latency_decode,
    latency_encode,
    pack_spikes,
    rate_decode,
    rate_encode,
    voxelize,
)

STEPS = 8
COLUMNS = ("x", "y", "z", "intensity")
SCANS = {
    "KITTI": ("kitti/training/velodyne/000008.bin", 4),
    "SemanticKITTI": ("semantickitti/sequences/00/velodyne/000000.bin", 4),
    "nuScenes": ("nuscenes/n015-2018-07-24-11-22-45+0800__LIDAR_TOP__1532402927647951.pcd.bin", 5),
}
FRAMES = ("00", "04", "08")


def coders() -> dict[str, tuple[Callable[[Tensor], SpikeTrain], Callable[[SpikeTrain], Tensor]]]:
    """Encoder and decoder by name."""
    random = torch.Generator().manual_seed(0)
    return {
        "direct, D = 4": (lambda v: direct_encode(v, levels=4), direct_decode),
        f"rate, T = {STEPS}": (lambda v: rate_encode(v, STEPS), rate_decode),
        f"rate, random, T = {STEPS}": (lambda v: rate_encode(v, STEPS, generator=random), rate_decode),
        f"latency, T = {STEPS}": (lambda v: latency_encode(v, STEPS), latency_decode),
    }


def scan(path: Path, columns: int) -> tuple[np.ndarray, np.ndarray, Tensor]:
    """Points, voxel coordinates and their values (N, 4) in [0, 1]."""
    points = np.fromfile(path, np.float32).reshape(-1, columns)[:, :4].copy()
    points[:, 3] /= max(1.0, points[:, 3].max())
    voxels = voxelize(points, VoxelGrid(0.1), columns=COLUMNS, features=("offset", "intensity"), reduce="mean")
    values = torch.from_numpy(voxels.features + np.float32([0.5, 0.5, 0.5, 0])).clamp(0, 1)
    return points, voxels.coordinates, values


def show(name: str, coder: str, spikes: float, raw: int, stored: int, errors: Tensor) -> None:
    """One row."""
    print(
        f"{name:<16}{coder:<24}{spikes:>14.3f}{raw / 1e3:>10.0f}{stored / 1e3:>11.0f}{raw / stored:>12.1f}"
        f"{float(errors.mean()):>12.4f}{float(errors.max()):>11.4f}"
    )


def show_delta(folder: Path) -> None:
    """Offsets and intensity of the voxels that all frames share, as changes."""
    columns, raw = [], 0
    for name in FRAMES:
        with np.load(folder / f"{name}.npz", allow_pickle=False) as frame:
            world = frame["xyz_cm"].astype(np.float64) / 100 @ frame["ego_rot"].T + frame["ego_pos"]
            points = np.column_stack([world, frame["intensity"] / 255.0])
        voxels = voxelize(points, VoxelGrid(0.5), columns=COLUMNS, features=("offset", "intensity"), reduce="mean")
        columns.append({tuple(c): f for c, f in zip(voxels.coordinates.tolist(), voxels.features, strict=True)})
        raw += 16 * len(points)
    shared = sorted(set.intersection(*(set(column) for column in columns)))
    frames = torch.from_numpy(np.array([[column[c] for c in shared] for column in columns]))
    threshold = 0.05
    rises, falls = delta_encode(frames, threshold)
    stored = sum(len(pack_spikes(np.array(shared), train)) for train in (rises, falls))
    spikes = float((rises.spikes.float() + falls.spikes.float())[1:].mean())
    errors = (delta_decode(rises, falls, threshold) - frames.double()).abs()
    show("PandaSet frames", f"delta, threshold {threshold}", spikes, raw, stored, errors)


def main() -> None:
    """Prints a row a scan and coder."""
    root = Path(os.environ.get("SPIKEVOX_DATA", "data"))
    print(
        f"{'scan':<16}{'coder':<24}{'spikes/value':>14}{'raw kB':>10}{'stored kB':>11}{'raw/stored':>12}"
        f"{'mean error':>12}{'max error':>11}"
    )
    for name, (file, width) in SCANS.items():
        if not (root / file).exists():
            print(f"{name:<16}not in {root}; set SPIKEVOX_DATA")
            continue
        points, coordinates, values = scan(root / file, width)
        for coder, (encode, decode) in coders().items():
            train = encode(values)
            stored = len(pack_spikes(coordinates, train))
            spikes = float(train.spikes.float().sum(dim=0).mean())
            show(name, coder, spikes, points.nbytes, stored, (decode(train) - values).abs())
    if (root / "pandaset/002").is_dir():
        show_delta(root / "pandaset/002")


if __name__ == "__main__":
    main()
