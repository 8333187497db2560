"""Batch normalisation over sites, across processes where asked for."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from spikevox.layers.all_reduce import all_reduce_sum
from spikevox.layers.autocast import full_precision
from spikevox.layers.backends.compiled_norm import batch_norm
from spikevox.layers.errors import LayerError
from spikevox.layers.neurons.surrogate import check_positive
from spikevox.layers.sparse_tensor import SparseTensor, features_of, with_features


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation of each channel over all sites, and over T x N where there is a time axis.

    Args:
        channels: C.
        eps: added to the variance.
        momentum: share of the new batch in the running statistics; ``None`` for the mean over all batches.
        synchronise: statistics over all processes of a distributed run; processes may hold different numbers of
            sites, also none.

    Takes a SparseTensor, a MinkowskiEngine tensor or a plain tensor (..., C) and returns the same kind. Zero sites
    leave the statistics as they are; one site gives the bias and leaves the running variance. Inside ``torch.autocast``
    statistics and result are float32.

    Raises:
        LayerError: a parameter out of its range, or features with other channels.
    """

    def __init__(
        self, channels: int, *, eps: float = 1e-3, momentum: float | None = 0.01, synchronise: bool = False
    ) -> None:
        if channels < 1 or not 0 <= eps < math.inf or not 0 <= (momentum or 0) <= 1:
            raise LayerError(
                "batch normalisation needs channels from 1, eps from 0 and momentum in [0, 1] or None, got "
                f"{channels}, {eps} and {momentum}."
            )
        super().__init__(channels, eps=eps, momentum=momentum)
        self.synchronise = synchronise

    def scale(self) -> Tensor:
        """Factor (C,) of the normalised values."""
        return self.weight

    def forward(self, x: Any) -> Any:
        """Normalised features on the sites of ``x``."""
        features = full_precision(features_of(x))
        if features.shape[-1] != self.num_features:
            raise LayerError(f"{self} expects {self.num_features} channels, got {tuple(features.shape)}.")
        rows = features.reshape(-1, self.num_features)
        if not self.training:
            result = self._native(rows)
        elif self.synchronise or len(rows) < 2:
            result = self._from_sums(rows)
        elif isinstance(x, SparseTensor) and x.backend == "compiled":
            result, of_rows = batch_norm(rows, self.scale(), self.bias, self.eps)
            self.track(*of_rows, len(rows))
        else:
            self._count_batch()
            result = self._native(rows)
        return with_features(x, result.view(features.shape))

    def _native(self, rows: Tensor) -> Tensor:
        return torch.batch_norm(
            rows,
            self.scale(),
            self.bias,
            self.running_mean,
            self.running_var,
            self.training,
            self._share_of_batch() if self.training else 0.0,
            self.eps,
            False,
        )

    def _from_sums(self, rows: Tensor) -> Tensor:
        # Processes that do not synchronise do not wait for each other, whatever the number of their rows.
        total = all_reduce_sum if self.synchronise else _alone
        ones = rows.new_full((1,), len(rows))
        sums = total(torch.cat([rows.sum(dim=0), ones]))
        count = sums[-1].detach()
        if count == 0:
            return rows + 0 * (self.scale() + self.bias)
        mean = sums[:-1] / count
        centred = rows - mean
        # A second sum of centred squares: the difference of two large sums would cancel.
        variance = total((centred**2).sum(dim=0)) / count
        self.track(mean.detach(), variance.detach(), float(count))
        return centred * torch.rsqrt(variance + self.eps) * self.scale() + self.bias

    def _count_batch(self) -> None:
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)

    def _share_of_batch(self) -> float:
        """Of the batch that was counted last, in the running statistics."""
        if self.momentum is not None or self.num_batches_tracked is None:
            return self.momentum or 0.0
        return 1 / int(self.num_batches_tracked)

    @torch.no_grad()
    def track(self, mean: Tensor, variance: Tensor, count: float) -> None:
        """Moves the running statistics towards those of a batch of ``count`` rows; the variance is the biased one."""
        if self.running_mean is None or self.running_var is None:
            return
        self._count_batch()
        share = self._share_of_batch()
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        if count > 1:
            self.running_var.lerp_((variance * (count / (count - 1))).to(self.running_var.dtype), share)


def _alone(value: Tensor) -> Tensor:
    return value


class ThresholdDependentBatchNorm(BatchNorm):
    """tdBN (Zheng et al., AAAI 2021): normalised values are scaled by ``alpha * threshold``.

    Args:
        channels: C.
        threshold: of the neurons behind, positive.
        alpha: 1, or ``1 / sqrt(2)`` on branches that are added.
        **options: see :class:`BatchNorm`.
    """

    def __init__(self, channels: int, *, threshold: float = 1.0, alpha: float = 1.0, **options: Any) -> None:
        super().__init__(channels, **options)
        check_positive("threshold", threshold)
        check_positive("alpha", alpha)
        self.threshold = threshold
        self.alpha = alpha

    def scale(self) -> Tensor:
        """Factor (C,) of the normalised values."""
        return self.weight * (self.alpha * self.threshold)


def fold_batch_norm(weight: Tensor, bias: Tensor | None, norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Weight (..., C_out) and bias (C_out,) of a convolution that includes the normalisation behind it.

    Uses the running statistics: the two agree in evaluation mode.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise LayerError("only a normalisation with running statistics can be folded.")
    factor = norm.scale() * torch.rsqrt(norm.running_var + norm.eps)
    shift = -norm.running_mean if bias is None else bias - norm.running_mean
    return weight * factor, shift * factor + norm.bias
