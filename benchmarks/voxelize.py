"""Time of ``voxelize`` against ``MinkowskiEngine.utils.sparse_quantize`` on real KITTI scans.

Both do the same work: coordinates of the voxels, the first row of each, and the voxel of every point.
``voxelize`` also checks the points, sorts the voxels and counts what became of every point. The two take turns,
so that a change in the machine's load meets both.

    SPIKEVOX_DATA=data python benchmarks/voxelize.py --voxel-size 0.05 0.1 --rounds 15
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from spikevox.encoding import VoxelGrid, Voxels, voxelize
from spikevox.layers.backends import minkowski


def scans(root: Path, count: int) -> list[Path]:
    """The ``count`` first scans of the KITTI object set in ``root``."""
    files = sorted((root / "kitti" / "training" / "velodyne").glob("*.bin"))[:count]
    if not files:
        raise SystemExit(f"no kitti/training/velodyne/*.bin in {root}: set SPIKEVOX_DATA to the folder of the data")
    return files


def timed(work: Callable[[], object]) -> float:
    """Milliseconds that one call takes."""
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)


def check_same(voxels: Voxels, quantized: tuple[torch.Tensor, ...]) -> None:
    """Stops where the two disagree about the voxels or their first rows."""
    coordinates, first, inverse = (part.numpy() for part in quantized)
    order = np.lexsort(coordinates.T[::-1])
    same = (
        np.array_equal(coordinates[order], voxels.coordinates)
        and np.array_equal(first[order], voxels.first_rows)
        and np.array_equal(coordinates[inverse], voxels.coordinates[voxels.inverse])
    )
    if not same:
        raise SystemExit("voxelize and sparse_quantize disagree")


def main() -> None:
    """Prints a row a scan and voxel size, and the largest ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voxel-size", type=float, nargs="+", default=[0.05, 0.1, 0.2])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--scans", type=int, default=4)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SPIKEVOX_DATA", "data")))
    options = parser.parse_args()
    torch.set_num_threads(1)
    sparse_quantize = minkowski.load().utils.sparse_quantize
    print(f"{'scan':>10} {'points':>8} {'voxel':>6} {'voxels':>8} {'ours ms':>8} {'theirs ms':>9} {'ratio':>6}")
    ratios = []
    for file in scans(options.data, options.scans):
        points = np.fromfile(file, np.float32).reshape(-1, 4)[:, :3]
        for size in options.voxel_size:
            # MinkowskiEngine divides in the type of its input: float64, so that both floor the same numbers.
            xyz, grid = np.ascontiguousarray(points, np.float64), VoxelGrid(size)

            def ours(xyz: np.ndarray = points, grid: VoxelGrid = grid) -> Voxels:
                return voxelize(xyz, grid)

            def theirs(xyz: np.ndarray = xyz, size: float = size) -> tuple[torch.Tensor, ...]:
                return sparse_quantize(xyz, quantization_size=size, return_index=True, return_inverse=True)

            voxels = ours()
            check_same(voxels, theirs())
            rounds = [(timed(ours), timed(theirs)) for _ in range(options.rounds)]
            our_time, their_time = (median(column) for column in zip(*rounds, strict=True))
            ratio = median(a / b for a, b in rounds)
            ratios.append(ratio)
            print(
                f"{file.stem:>10} {len(points):>8} {size:>6} {len(voxels):>8} {our_time:>8.2f} {their_time:>9.2f} "
                f"{ratio:>6.2f}"
            )
    print(f"median ratio {median(ratios):.2f}, largest {max(ratios):.2f}")


if __name__ == "__main__":
    main()
