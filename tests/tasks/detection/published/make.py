"""Makes spconv_2.3.8.npz, what spconv says of drawn weights: OMP_NUM_THREADS=1 python tests/tasks/detection/published/make.py."""

import sys
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2]))
from oracles import detectors_spconv, published_detectors  # noqa: E402


def sorted_by_site(sites, values):
    order = np.lexsort(sites.T[::-1])
    return [sites[order], values[order]]


def results(name):
    """Network with the statistics of the cloud, and what it says in evaluation mode."""
    grid = published_detectors.GRID[::-1]
    features, rows = published_detectors.cloud(4 if name == "voxel_rcnn" else 5)
    inputs = [features, rows[:, [0, 3, 2, 1]].contiguous(), 2]
    if name == "voxel_rcnn":
        sizes = published_detectors.VOXEL, published_detectors.RADII
        made = detectors_spconv.VoxelRcnn(grid, *sizes, size="narrow")
        inputs.append(published_detectors.regions())
    else:
        made = detectors_spconv.VoxelNext(grid, size="narrow")
    made = made.double()
    made.load_state_dict(published_detectors.drawn(name))
    made = detectors_spconv.settle(made, *inputs)
    with torch.no_grad():
        first, second = made(*inputs)
    if name == "voxel_rcnn":
        return made, [part.movedim(1, -1).contiguous().numpy() for part in first] + [part.numpy() for part in second]
    said = torch.cat([part for head in second for part in head.values()], dim=1)
    return made, sorted_by_site(first[:, [0, 2, 1]].long().numpy(), said.numpy())


def main():
    """Running statistics under ``NETWORK/TENSOR``, results under ``NETWORK NUMBER``."""
    found = {}
    for name in ("voxel_rcnn", "voxelnext_detector"):
        made, values = results(name)
        state = made.state_dict()
        found |= {f"{name}/{key}": tensor.numpy() for key, tensor in state.items() if ".running_" in key}
        found |= {f"{name} {number}": value for number, value in enumerate(values)}
    np.savez_compressed(HERE / "spconv_2.3.8.npz", **found)


if __name__ == "__main__":
    main()
