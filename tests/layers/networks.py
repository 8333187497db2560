"""Networks that fire, for tests of what runs them in another way."""

import torch
from torch import nn

from spikevox.layers import GlobalMeanPool, Linear


def firing(network, x):
    """Statistics of the data, so that neurons fire as in a trained network."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, 0.0, 0.6)
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(x)
    return network.eval()


class Recogniser(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.head, self.pool = encoder, Linear(encoder.out_channels, 10), GlobalMeanPool()

    def forward(self, x):
        return self.pool(self.head(self.encoder(x)))
