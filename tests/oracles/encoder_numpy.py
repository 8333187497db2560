"""E-3DSNN's encoder and head in plain numpy, from a dict of weights; imports nothing of spikevox."""

from itertools import product

import numpy as np

OFFSETS = [(x, y, z) for z, y, x in product((-1, 0, 1), repeat=3)]


def submanifold(features, coordinates, weight):
    """3x3x3 over coordinates (sample, x, y, z) in steps of one, first axis fastest."""
    rows = {tuple(c): r for r, c in enumerate(coordinates.tolist())}
    result = np.zeros((len(features), weight.shape[2]))
    for row, (sample, *site) in enumerate(coordinates.tolist()):
        for kernel, offset in zip(weight, OFFSETS, strict=True):
            near = rows.get((sample, *(c + o for c, o in zip(site, offset, strict=True))))
            if near is not None:
                result[row] += features[near] @ kernel
    return result


class Network:
    """Forward pass of encoder T, S with one block a stage, on weights by the names of a state dict."""

    def __init__(self, weights, levels=4):
        self.weights = weights
        self.levels = levels
        self.rates = []
        self.spikes = []

    def norm(self, x, name):
        w = self.weights
        scale = w[f"{name}.weight"] / np.sqrt(w[f"{name}.running_var"] + 1e-3)
        return (x - w[f"{name}.running_mean"]) * scale + w[f"{name}.bias"]

    def fire(self, x, coordinates):
        spikes = np.floor(np.clip(x, 0, self.levels) + 0.5)
        self.rates.append((spikes > 0).mean())
        self.spikes.append((coordinates, spikes))
        return spikes

    def spiking_conv(self, x, stride, coordinates, name, first):
        conv = self.conv(self.fire(x, coordinates), stride, coordinates, f"{name}.{first + 1}")
        return self.norm(conv, f"{name}.{first + 2}")

    def conv(self, x, stride, coordinates, name):
        scaled = np.column_stack([coordinates[:, 0], coordinates[:, 1:] // stride])
        return submanifold(x, scaled, self.weights[f"{name}.weight"])

    def down(self, x, stride, coordinates, name):
        spikes = self.fire(x, coordinates)
        coarse = np.column_stack([coordinates[:, 0], coordinates[:, 1:] // (2 * stride) * (2 * stride)])
        sites, inverse = np.unique(coarse, axis=0, return_inverse=True)
        weight = self.weights[f"{name}.conv.weight"]
        result = np.zeros((len(sites), weight.shape[2]))
        for row, target in enumerate(inverse.reshape(-1)):
            x_, y_, z_ = (coordinates[row, 1:] - sites[target, 1:]) // stride
            result[target] += spikes[row] @ weight[x_ + 2 * (y_ + 2 * z_)]
        return self.norm(result, f"{name}.norm"), sites

    def __call__(self, features, coordinates, batch_size):
        stride = 1
        x = self.norm(self.conv(features, 1, coordinates, "encoder.stem.layers.0"), "encoder.stem.layers.1")
        x = self.spiking_conv(x, 1, coordinates, "encoder.stem.layers", 2)
        x = self.spiking_conv(x, 1, coordinates, "encoder.stem.layers", 5)
        for stage in range(4):
            name = f"encoder.stages.{stage}"
            x, coordinates = self.down(x, stride, coordinates, f"{name}.0")
            stride *= 2
            x = self.spiking_conv(x, stride, coordinates, f"{name}.1.first", 0) + x
            inner = self.spiking_conv(x, stride, coordinates, f"{name}.1.second", 0)
            x = self.spiking_conv(inner, stride, coordinates, f"{name}.1.second", 3) + x
        logits = x @ self.weights["head.weight"].T + self.weights["head.bias"]
        return np.stack([logits[coordinates[:, 0] == b].mean(axis=0) for b in range(batch_size)])
