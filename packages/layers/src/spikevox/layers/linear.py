"""Linear layer applied to each site."""

from typing import Any

from torch import nn

from spikevox.layers.sparse_tensor import features_of, with_features


class Linear(nn.Linear):
    """``y = x W^T + b`` at every site.

    Weights start as truncated normal with standard deviation 0.02, biases as 0 (E-3DSNN's code).

    Args:
        in_channels: C of the input.
        out_channels: C of the output.
        bias: adds a bias.

    Takes a SparseTensor, a MinkowskiEngine tensor or a plain tensor (..., C) and returns the same kind.
    """

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, bias=bias)

    def reset_parameters(self) -> None:
        """Draws the weights anew."""
        nn.init.trunc_normal_(self.weight, std=0.02)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Any) -> Any:
        """Maps features (..., in_channels) to (..., out_channels)."""
        return with_features(x, super().forward(features_of(x)))
