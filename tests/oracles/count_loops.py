"""Operations of a small sparse network, counted one by one in nested loops; imports nothing of spikevox.

A network is a list of dicts, each with ``op`` and what that needs. Features are lists of rows a site and time step, and every
number is whole or a quarter of one, so that sums are exact.
"""

from collections import defaultdict
from itertools import product
from math import floor


def offsets(layer):
    """Kernel offsets, the first axis fastest."""
    axes = [
        [j * d - p for j in range(k)]
        for k, d, p in zip(layer["kernel"], layer["dilation"], layer["padding"], strict=True)
    ]
    return [(x, y, z) for z, y, x in product(axes[2], axes[1], axes[0])]


class Counting:
    """Runs a description and writes down what each step did.

    Attributes:
        sites: coordinates (sample, x, y, z) in units of the present stride.
        values: of each time step, of each site, of each channel.
        counts: a dict a layer.
    """

    def __init__(self, sites, features):
        self.sites = list(sites)
        self.values = features
        self.counts = []
        self.spiking = 0
        self.saved = []
        self.finer = []
        self.last_weighted = None

    def run(self, description):
        for layer in description:
            getattr(self, layer["op"])(layer)
        return self.counts

    def matches(self, layer, outputs, inputs):
        """(offset number, input number, output number), found site by site."""
        where = {site: number for number, site in enumerate(inputs)}
        found = []
        for o, (sample, *place) in enumerate(outputs):
            for k, offset in enumerate(offsets(layer)):
                there = tuple(p * s + d for p, s, d in zip(place, layer["stride"], offset, strict=True))
                if (sample, *there) in where:
                    found.append((k, where[sample, *there], o))
        return found

    def covered(self, layer):
        """Every output that an input reaches."""
        outputs = set()
        for sample, *place in self.sites:
            for offset in offsets(layer):
                moved = [p - d for p, d in zip(place, offset, strict=True)]
                if all(m % s == 0 for m, s in zip(moved, layer["stride"], strict=True)):
                    outputs.add((sample, *(m // s for m, s in zip(moved, layer["stride"], strict=True))))
        return sorted(outputs)

    def read(self, count):
        """Counts what there is to read."""
        for step in self.values:
            for row in step:
                for value in row:
                    count["values"] += 1
                    count["events"] += value != 0
                    if self.spiking:
                        count["spikes"] += int(value)

    def multiply(self, layer, pairs, outputs):
        """Goes through pairs and channels, adds up and counts."""
        count = defaultdict(int)
        groups, weight, bias = layer.get("groups", 1), layer["weight"], layer.get("bias")
        channels = len(self.values[0][0]) if self.values[0] else layer["in_channels"]
        wide = len(weight[0][0])
        self.read(count)
        result = []
        for step in self.values:
            rows = [[0.0] * wide for _ in range(outputs)]
            for k, i, o in pairs:
                count["pairs"] += 1
                for c in range(channels):
                    group = c // (channels // groups)
                    for f in range(group * wide // groups, (group + 1) * wide // groups):
                        value = step[i][c]
                        count["macs"] += 1
                        count["event_macs"] += value != 0
                        if self.spiking:
                            count["acs"] += int(value)
                        rows[o][f] += value * weight[k][c % (channels // groups)][f]
            for row in rows if bias is not None else []:
                for f in range(wide):
                    row[f] += bias[f]
                    count["additions"] += 1
            result.append(rows)
        count["reads"] = "spikes" if self.spiking else "reals"
        self.counts.append(count)
        self.values, self.spiking = result, 0
        self.last_weighted = bias is not None

    def submanifold(self, layer):
        self.multiply(layer, self.matches(layer, self.sites, self.sites), len(self.sites))

    def strided(self, layer):
        outputs = self.covered(layer)
        pairs = self.matches(layer, outputs, self.sites)
        self.finer.append(self.sites)
        self.multiply(layer, pairs, len(outputs))
        self.sites = outputs

    def inverse(self, layer):
        fine = self.finer.pop()
        pairs = [(k, o, i) for k, i, o in self.matches(layer, self.sites, fine)]
        self.multiply(layer, pairs, len(fine))
        self.sites = fine

    def linear(self, layer):
        self.multiply(layer, [(0, i, i) for i in range(len(self.sites))], len(self.sites))

    def norm(self, layer):
        count = defaultdict(int)
        for step in self.values:
            for row in step:
                for c, (factor, shift) in enumerate(zip(layer["factor"], layer["shift"], strict=True)):
                    row[c] = row[c] * factor + shift
                    if self.last_weighted is None:
                        count["multiplications"] += 1
                    if not self.last_weighted:
                        count["additions"] += 1
        self.counts.append(count)
        self.spiking, self.last_weighted = 0, None

    def neuron(self, layer):
        count, depth = defaultdict(int), layer["levels"]
        count["levels"] = [0] * (depth + 1)
        before = None
        result = []
        for step in self.values:
            rows = []
            rest = []
            for n, row in enumerate(step):
                charged = [v if before is None else v + before[n][c] for c, v in enumerate(row)]
                fired = [floor(min(max(u, 0), depth) + 0.5) for u in charged]
                rest.append([0.25 * (u - s) for u, s in zip(charged, fired, strict=True)])
                rows.append([float(s) for s in fired])
                for s in fired:
                    count["membrane_updates"] += 1
                    count["state_updates"] += len(self.values) > 1
                    count["levels"][s] += 1
                    count["spikes"] += s
                    count["events"] += s != 0
                    count["values"] += 1
            before = rest
            result.append(rows)
        self.counts.append(count)
        self.values, self.spiking, self.last_weighted = result, depth, None

    def relu(self, layer):
        count = defaultdict(int)
        self.values = [[[max(v, 0.0) for v in row] for row in step] for step in self.values]
        for step in self.values:
            for row in step:
                for value in row:
                    count["membrane_updates"] += 1
                    count["values"] += 1
                    count["events"] += value != 0
        self.counts.append(count)
        self.spiking, self.last_weighted = 0, None

    def max_pool(self, layer):
        outputs = self.covered(layer)
        pairs = self.matches(layer, outputs, self.sites)
        count = defaultdict(int)
        result = []
        for step in self.values:
            rows = [None] * len(outputs)
            for _, i, o in pairs:
                count["pairs"] += 1
                count["additions"] += len(step[i])
                rows[o] = list(step[i]) if rows[o] is None else [max(p) for p in zip(rows[o], step[i], strict=True)]
            result.append(rows)
        self.counts.append(count)
        self.finer.append(self.sites)
        self.values, self.sites, self.last_weighted = result, outputs, None

    def save(self, layer):
        self.saved.append((self.values, self.spiking))

    def add(self, layer):
        others, spiking = self.saved.pop()
        count = defaultdict(int)
        result = []
        for step, other in zip(self.values, others, strict=True):
            rows = []
            for a, b in zip(step, other, strict=True):
                rows.append([p + q for p, q in zip(a, b, strict=True)])
                count["additions"] += len(a)
            result.append(rows)
        self.counts.append(count)
        self.spiking = self.spiking + spiking if self.spiking and spiking else 0
        self.values, self.last_weighted = result, None

    def concatenate(self, layer):
        others, spiking = self.saved.pop()
        self.values = [
            [[*a, *b] for a, b in zip(step, other, strict=True)]
            for step, other in zip(self.values, others, strict=True)
        ]
        self.spiking = max(self.spiking, spiking) if self.spiking and spiking else 0
        self.last_weighted = None

    def mean(self, layer):
        """Over the sites of each sample; the last step."""
        count = defaultdict(int)
        for step in self.values:
            for row in step:
                count["additions"] += len(row)
            count["multiplications"] += layer["samples"] * layer["channels"]
        self.counts.append(count)
