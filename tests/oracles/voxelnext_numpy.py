"""VoxelNeXt's spiking backbone in plain numpy, match after match, from a dict of weights; imports nothing of spikevox."""

import numpy as np

from oracles.dense_conv import convolve, covered_sites, find_matches

ONE = (1, 1, 1)


class Backbone:
    """Forward pass on weights by the names of a state dict, sites as rows (sample, x, y, z) counted in steps."""

    def __init__(self, weights, grid, levels=4):
        self.weights, self.grid, self.levels = weights, grid, levels
        self.nonzero = []

    def norm(self, x, name, eps=1e-3):
        w = self.weights
        scale = w[f"{name}.weight"] / np.sqrt(w[f"{name}.running_var"] + eps)
        return (x - w[f"{name}.running_mean"]) * scale + w[f"{name}.bias"]

    def fire(self, x):
        spikes = np.floor(np.clip(x, 0, self.levels) + 0.5)
        self.nonzero.append((spikes > 0).mean())
        return spikes

    def conv(self, x, inputs, outputs, name, kernel=(3, 3, 3), stride=ONE):
        padding = tuple(k // 2 for k in kernel)
        matches = find_matches(inputs, outputs * [1, *stride], ONE, kernel, stride, padding, ONE)
        bias = self.weights.get(f"{name}.bias")
        return convolve(x, self.weights[f"{name}.weight"], bias, matches, len(outputs), 1)

    def block(self, x, sites, name):
        y = self.norm(self.conv(self.fire(x), sites, sites, f"{name}.layers.1"), f"{name}.layers.2")
        return self.norm(self.conv(self.fire(y), sites, sites, f"{name}.layers.4"), f"{name}.layers.5") + x

    def blocks(self, x, sites, name, first):
        while f"{name}.{first}.layers.1.weight" in self.weights:
            x = self.block(x, sites, f"{name}.{first}")
            first += 1
        return x

    def __call__(self, features, sites):
        """Membrane (N', C) and its places (N', 3): sample, x, y."""
        x = self.norm(self.conv(features, sites, sites, "volume.stem.0"), "volume.stem.1")
        x = self.blocks(x, sites, "volume.entry", 0)
        extent, planes = np.array(self.grid), []
        for stage in range(5):
            extent = (extent - 1) // 2 + 1
            coarse = covered_sites(sites, ONE, (3, 3, 3), (2, 2, 2), ONE, ONE) // [1, 2, 2, 2]
            coarse = coarse[((coarse[:, 1:] >= 0) & (coarse[:, 1:] < extent)).all(axis=1)]
            name = f"volume.stages.{stage}"
            down = self.conv(self.fire(x), sites, coarse, f"{name}.0.conv", stride=(2, 2, 2))
            x, sites = self.blocks(self.norm(down, f"{name}.0.norm"), coarse, name, 1), coarse
            if stage >= 2:
                # Indices at 16 and 32 voxels a step times 2 and 4 are those of places at 8.
                planes.append((x, sites[:, :3] * [1, 2 ** (stage - 2), 2 ** (stage - 2)]))
            if stage == 2:
                plane = extent
        places = np.unique(np.concatenate([rows for _, rows in planes]), axis=0)
        total = np.zeros((len(places), x.shape[1]))
        for features_there, rows in planes:
            for row, value in zip(rows, features_there, strict=True):
                total[(places == row).all(axis=1)] += value
        flat = np.column_stack([places, np.zeros(len(places), np.int64)])
        wide = covered_sites(flat, ONE, (3, 3, 1), ONE, (1, 1, 0), ONE)
        wide = wide[((wide[:, 1:3] >= 0) & (wide[:, 1:3] < plane[:2])).all(axis=1)]
        x = self.norm(self.conv(self.fire(total), flat, wide, "plane.1", (3, 3, 1)), "plane.2")
        x = self.norm(self.conv(self.fire(x), wide, wide, "plane.4", (3, 3, 1)), "plane.5", 1e-5)
        return x, wide[:, :3]
