"""Makes spconv_2.3.8.npz, what spconv says of drawn weights: OMP_NUM_THREADS=1 python tests/layers/published/make.py."""

import sys
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))
from oracles import published_keys, published_spconv  # noqa: E402


def main():
    """Every eleventh row: sites in the order x, y, z, counted in steps of their own, and features in float64."""
    results = {}
    for name, sizes in published_keys.NARROW.items():
        made = published_spconv.network(name, size="narrow", grid=published_keys.GRID[::-1])
        part = len("backbone_3d.") if name == "voxel8x" else 0
        tensors = published_keys.firing_tensors(name, **sizes)
        made.load_state_dict({key[part:]: tensor for key, tensor in tensors.items()})
        made = made.double().eval()
        features, rows = published_keys.sites(6 if name == "classifier" else 4)
        with torch.no_grad():
            if name == "voxel8x":
                outputs = made(features, rows[:, [0, 3, 2, 1]].contiguous(), 2)
                for number, x in enumerate(outputs):
                    results[f"voxel8x_sites_{number}"] = x.indices[::11][:, [0, 3, 2, 1]].numpy()
                    results[f"voxel8x_{number}"] = x.features[::11].numpy()
            else:
                # spconv's CPU code refuses layers with a bias in evaluation mode; a convolution is the same in both.
                made.final.train()
                results[name] = made(features, rows, 2)[:: 1 if name == "classifier" else 11].numpy()
    np.savez_compressed(HERE / "spconv_2.3.8.npz", **results)


if __name__ == "__main__":
    main()
