"""Random Fourier features of offsets inside a voxel, and the kernel mean embedding of its points."""

import math
from typing import Literal

import torch
from torch import Tensor

from spikevox.encoding.errors import PointCloudError


class FourierFeatures:
    """``phi(x) = [cos(B x), sin(B x)] / sqrt(D)`` (Rahimi and Recht 2007).

    Inner products of features approximate a shift-invariant kernel with error of order ``D^-1/2``; the mean of the
    features over a voxel's points is a kernel mean embedding, and distances of embeddings approximate the maximum mean
    discrepancy (MMD) of the point sets.

    Args:
        dimensions: of the input.
        frequencies: D, the number of rows of B; there are 2 D features.
        draw: ``"gaussian"`` for the kernel ``exp(-scale^2 |x - y|^2 / 2)``; ``"periodic"`` for whole multiples of 2 pi,
            features of period 1; ``"spectrum"`` for rows taken from ``spectrum`` by weight.
        scale: standard deviation of the rows (in whole periods for ``"periodic"``).
        spectrum: (K, dimensions) frequencies and (K,) weights, for ``draw="spectrum"``.
        generator: of the draw.

    Raises:
        PointCloudError: an invalid option.
    """

    def __init__(
        self,
        dimensions: int = 3,
        frequencies: int = 64,
        *,
        draw: Literal["gaussian", "periodic", "spectrum"] = "gaussian",
        scale: float = 1.0,
        spectrum: tuple[Tensor, Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        if dimensions < 1 or frequencies < 1 or not 0 < scale < math.inf:
            raise PointCloudError(
                f"dimensions, frequencies and scale must be positive, got {dimensions}, {frequencies} and {scale}."
            )
        if draw not in ("gaussian", "periodic", "spectrum") or (draw == "spectrum") != (spectrum is not None):
            raise PointCloudError(
                f"draw must be 'gaussian', 'periodic', or 'spectrum' together with spectrum=, got {draw!r}."
            )
        if spectrum is not None:
            rows = torch.multinomial(spectrum[1].double(), frequencies, replacement=True, generator=generator)
            self.matrix = spectrum[0][rows].double()
            return
        normal = torch.randn(frequencies, dimensions, dtype=torch.float64, generator=generator) * scale
        self.matrix = 2 * math.pi * normal.round() if draw == "periodic" else normal

    def __call__(self, points: Tensor) -> Tensor:
        """Features (P, 2 D) of points (P, dimensions), in the type of the points."""
        phase = points.double() @ self.matrix.T
        features = torch.cat([phase.cos(), phase.sin()], dim=-1) / math.sqrt(len(self.matrix))
        return features.to(points.dtype)

    def embed(self, points: Tensor, voxel: Tensor, count: int) -> Tensor:
        """Kernel mean embeddings (count, 2 D): mean features of the points of each voxel, 0 for a voxel without any.

        Args:
            points: (P, dimensions), for example offsets inside the voxel.
            voxel: (P,) int64, the voxel of each point.
            count: number of voxels.
        """
        features = self(points)
        total = features.new_zeros(count, features.shape[1]).index_add(0, voxel, features)
        return total / torch.bincount(voxel, minlength=count).clamp(min=1)[:, None]
