"""Spike trains: integer levels a step, and their exact form in binary steps."""

from dataclasses import dataclass

import torch
from torch import Tensor

from spikevox.encoding.errors import SpikevoxError


class SpikeTrainError(SpikevoxError, ValueError):
    """Values that are no spike train, or steps that do not fit one."""


def round_half_up(values: Tensor) -> Tensor:
    """The rounding rule of integer spikes: 0.5 -> 1 and 2.5 -> 3, unlike ``torch.round``.

    Example:
        >>> round_half_up(torch.tensor([0.4, 0.5, 2.5]))
        tensor([0., 1., 3.])
    """
    return (values + 0.5).floor()


@dataclass(frozen=True)
class SpikeTrain:
    """Spikes of N sites and C channels over T steps.

    Attributes:
        spikes: (T, N, C) uint8, whole numbers in ``[0, levels]``.
        levels: D, the most spikes of a step, 1 to 255.

    Raises:
        SpikeTrainError: another shape or type, or values above ``levels``.
    """

    spikes: Tensor
    levels: int

    def __post_init__(self) -> None:
        if not 1 <= self.levels <= 255:
            raise SpikeTrainError(f"levels must lie in [1, 255], got {self.levels}.")
        if self.spikes.dtype != torch.uint8 or self.spikes.ndim != 3:
            raise SpikeTrainError(
                f"spikes must be uint8 of shape (T, N, C), got {self.spikes.dtype} of {tuple(self.spikes.shape)}; "
                "SpikeTrain.from_values takes floating whole numbers."
            )
        if self.spikes.numel() and int(self.spikes.max()) > self.levels:
            raise SpikeTrainError(f"the largest value is {int(self.spikes.max())}, above levels={self.levels}.")

    @classmethod
    def from_values(cls, values: Tensor, levels: int) -> "SpikeTrain":
        """A train from whole numbers of any type, (T, N, C) or (N, C) for one step.

        Raises:
            SpikeTrainError: values that are not whole, or outside ``[0, levels]``.
        """
        values = values if values.ndim == 3 else values.unsqueeze(0)
        if values.numel() and not bool(((values >= 0) & (values <= levels) & (values == values.floor())).all()):
            raise SpikeTrainError(f"spikes must be whole numbers in [0, {levels}].")
        return cls(values.to(torch.uint8), levels)

    @property
    def steps(self) -> int:
        """T."""
        return self.spikes.shape[0]

    @property
    def firing_rate(self) -> float:
        """Mean spikes a step, site and channel."""
        return float(self.spikes.double().mean()) if self.spikes.numel() else 0.0

    def to_binary(self) -> "SpikeTrain":
        """The same spikes over T D binary steps: step d of a block fires where the level is at least d.

        A bias-free convolution of the integers equals the sum of its results on the D binary steps.
        """
        thresholds = torch.arange(1, self.levels + 1, dtype=torch.uint8, device=self.spikes.device)
        binary = self.spikes.unsqueeze(1) >= thresholds.view(1, -1, 1, 1)
        return SpikeTrain(binary.flatten(0, 1).to(torch.uint8), 1)

    def to_integer(self, levels: int) -> "SpikeTrain":
        """Sums blocks of ``levels`` binary steps; undoes :meth:`to_binary`.

        Raises:
            SpikeTrainError: a train that is not binary, or a number of steps that ``levels`` does not divide.
        """
        if self.levels != 1 or self.steps % levels:
            raise SpikeTrainError(
                f"a binary train whose steps are a multiple of {levels} is needed, got {self.steps} steps of {self.levels} "
                "levels."
            )
        blocks = self.spikes.view(self.steps // levels, levels, *self.spikes.shape[1:])
        return SpikeTrain(blocks.sum(dim=1).to(torch.uint8), levels)
