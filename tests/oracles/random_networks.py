"""Random small networks as descriptions of ``count_loops.py``; imports nothing of spikevox."""

import numpy as np


def random_network(seed):
    """Sites (N, 4), features (T, N, C), batch size, description; weights are small whole numbers."""
    generator = np.random.default_rng(seed)
    samples = int(generator.integers(1, 4))
    box = int(generator.integers(2, 6))
    sites = np.unique(
        np.column_stack([generator.integers(0, samples, 24), generator.integers(-2, box, (24, 3))]), axis=0
    )
    steps = int(generator.choice([1, 1, 1, 2]))
    channels = int(generator.integers(1, 5))
    features = generator.integers(-3, 4, (steps, len(sites), channels)).astype(float)
    maker = _Maker(generator, channels)
    for _ in range(int(generator.integers(2, 6))):
        maker.step()
    maker.finish(samples)
    return sites, features, samples, maker.layers


class _Maker:
    def __init__(self, generator, channels):
        self.generator = generator
        self.channels = channels
        self.layers = []
        self.depth = 0

    def step(self):
        name = str(self.generator.choice(["unit", "residual", "joined", "down_and_up", "strided", "pool", "linear"]))
        getattr(self, name)()

    def activation(self):
        if self.generator.random() < 0.8:
            self.layers.append({"op": "neuron", "levels": int(self.generator.integers(1, 6))})
        else:
            self.layers.append({"op": "relu"})

    def norm(self):
        if self.generator.random() < 0.7:
            self.layers.append(
                {
                    "op": "norm",
                    "factor": self.generator.choice([0.25, 0.5, 1.0], self.channels).tolist(),
                    "shift": self.generator.integers(-1, 3, self.channels).astype(float).tolist(),
                }
            )

    def conv(self, op, kernel, stride=1, padding=None, *, out=None, dilation=1):
        """Appends a convolution; three numbers, or one for all axes."""
        kernel, stride, dilation = ((v,) * 3 if isinstance(v, int) else tuple(v) for v in (kernel, stride, dilation))
        if padding is None:
            padding = tuple(d * (k // 2) if k % 2 else 0 for k, d in zip(kernel, dilation, strict=True))
        out = int(self.generator.integers(1, 5)) if out is None else out
        groups = 2 if self.channels % 2 == 0 and out % 2 == 0 and self.generator.random() < 0.4 else 1
        shape = (int(np.prod(kernel)), self.channels // groups, out)
        self.layers.append(
            {
                "op": op,
                "kernel": kernel,
                "stride": stride,
                "padding": padding,
                "dilation": dilation,
                "groups": groups,
                "in_channels": self.channels,
                "weight": self.generator.integers(-2, 3, shape).tolist(),
                "bias": self.generator.integers(-2, 3, out).tolist() if self.generator.random() < 0.4 else None,
            }
        )
        self.channels = out

    def unit(self):
        if self.layers:
            self.activation()
        size = int(self.generator.choice([1, 2, 3]))
        self.conv("submanifold", size, dilation=int(self.generator.choice([1, 1, 2])))
        self.norm()

    def residual(self):
        self.layers.append({"op": "save"})
        channels = self.channels
        self.activation()
        self.conv("submanifold", (3, 1, 3), out=channels)
        self.norm()
        self.layers.append({"op": "add"})
        self.norm()

    def joined(self):
        if self.generator.random() < 0.5:
            self.activation()
        self.layers.append({"op": "save"})
        channels = self.channels
        self.activation()
        self.conv("submanifold", 3)
        self.activation()
        self.layers.append({"op": "concatenate"})
        self.channels += channels
        self.linear(activate=False)

    def linear(self, activate=True):
        if activate:
            self.activation()
        out = int(self.generator.integers(1, 5))
        weight = self.generator.integers(-2, 3, (1, self.channels, out)).tolist()
        bias = self.generator.integers(-2, 3, out).tolist() if self.generator.random() < 0.5 else None
        self.layers.append({"op": "linear", "in_channels": self.channels, "weight": weight, "bias": bias})
        self.channels = out
        self.norm()

    def _kernel(self):
        return (2, 2) if self.generator.random() < 0.5 else (3, 2)

    def down_and_up(self):
        kernel, stride = self._kernel()
        self.layers.append({"op": "save"})
        channels = self.channels
        self.activation()
        self.conv("strided", kernel, stride)
        self.norm()
        self.activation()
        self.conv("inverse", kernel, stride)
        self.norm()
        self.layers.append({"op": "concatenate"})
        self.channels += channels
        self.norm()

    def strided(self):
        if self.depth < 2:
            self.depth += 1
            self.activation()
            self.conv("strided", *self._kernel())
            self.norm()

    def pool(self):
        if self.depth < 2:
            self.depth += 1
            if self.generator.random() < 0.5:
                self.activation()
            self.layers.append(
                {"op": "max_pool", "kernel": (2,) * 3, "stride": (2,) * 3, "padding": (0,) * 3, "dilation": (1,) * 3}
            )

    def finish(self, samples):
        self.linear()
        if self.generator.random() < 0.5:
            self.layers.append({"op": "mean", "samples": samples, "channels": self.channels})
