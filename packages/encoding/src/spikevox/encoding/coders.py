"""Real values to spikes and back: direct, rate, latency and delta coding.

Values are expected in [0, 1] unless said otherwise; every coder says how far its decoder can be off.
"""

import torch
from torch import Tensor

from spikevox.encoding.spike_train import SpikeTrain, SpikeTrainError, round_half_up


def _check_unit(values: Tensor, steps: int) -> None:
    if values.ndim != 2 or not values.is_floating_point():
        raise SpikeTrainError(f"values must be floating of shape (N, C), got {values.dtype} of {tuple(values.shape)}.")
    if values.numel() and not bool(((values >= 0) & (values <= 1)).all()):
        raise SpikeTrainError("values must lie in [0, 1]; scale them first (NaN counts as outside).")
    if not steps >= 1:
        raise SpikeTrainError(f"steps must be at least 1, got {steps}.")


def direct_encode(values: Tensor, levels: int = 4, steps: int = 1) -> SpikeTrain:
    """The same integer level in every step: ``floor(D x + 0.5)``.

    Args:
        values: (N, C) in [0, 1].
        levels: D.
        steps: T.

    Returns:
        (T, N, C); :func:`direct_decode` is off by at most ``1 / (2 D)``.
    """
    _check_unit(values, steps)
    level = round_half_up(values * levels).to(torch.uint8)
    return SpikeTrain(level.expand(steps, *level.shape).contiguous(), levels)


def direct_decode(train: SpikeTrain) -> Tensor:
    """Mean level over the steps divided by D, (N, C) float32."""
    return train.spikes.float().mean(dim=0) / train.levels


def rate_encode(values: Tensor, steps: int, *, generator: torch.Generator | None = None) -> SpikeTrain:
    """Binary spikes whose frequency is the value.

    Args:
        values: (N, C) in [0, 1].
        steps: T.
        generator: with one, each step fires at random with the value as probability (Bernoulli); without, spikes are
            spread evenly, ``floor(T x + 0.5)`` of them.

    Returns:
        (T, N, C) binary. :func:`rate_decode` is off by at most ``1 / (2 T)`` without a generator, and by a standard
        deviation of ``sqrt(x (1 - x) / T)`` with one.
    """
    _check_unit(values, steps)
    if generator is not None:
        draws = torch.rand((steps, *values.shape), generator=generator, device=values.device)
        return SpikeTrain((draws < values).to(torch.uint8), 1)
    total = round_half_up(values.double() * steps).long()
    # Spike number k falls where the line of slope total / T crosses k: differences of a floor spread them evenly.
    step = torch.arange(steps + 1, device=values.device).view(-1, 1, 1)
    return SpikeTrain(torch.div(step * total, steps, rounding_mode="floor").diff(dim=0).to(torch.uint8), 1)


def rate_decode(train: SpikeTrain) -> Tensor:
    """Spikes a step, (N, C) float32."""
    return train.spikes.float().mean(dim=0)


def latency_encode(values: Tensor, steps: int) -> SpikeTrain:
    """One spike a value, the earlier the larger; 0 never fires.

    Step ``floor((1 - x) (T - 1) + 0.5)`` fires for ``x > 0``.

    Args:
        values: (N, C) in [0, 1].
        steps: T, at least 2.

    Returns:
        (T, N, C) binary; :func:`latency_decode` is off by at most ``1 / (2 (T - 1))``.
    """
    _check_unit(values, steps)
    if steps < 2:
        raise SpikeTrainError("latency coding needs at least 2 steps.")
    when = round_half_up((1 - values.double()) * (steps - 1)).long()
    spikes = torch.zeros((steps, *values.shape), dtype=torch.uint8, device=values.device)
    spikes.scatter_(0, when.unsqueeze(0), 1)
    return SpikeTrain(spikes * (values > 0), 1)


def latency_decode(train: SpikeTrain) -> Tensor:
    """``1 - t / (T - 1)`` of the first spike at step t, 0 where there is none; (N, C) float32."""
    fired = train.spikes.bool()
    first = fired.to(torch.uint8).argmax(dim=0).float()
    return torch.where(fired.any(dim=0), 1 - first / (train.steps - 1), 0.0)


def delta_encode(frames: Tensor, threshold: float) -> tuple[SpikeTrain, SpikeTrain]:
    """Changes between frames, as an event camera sends them: rises and falls in units of a threshold.

    The reference of each value follows what was sent, so that errors do not add up.

    Args:
        frames: (T, N, C) real values, any range.
        threshold: change that one spike stands for, positive.

    Returns:
        Rises and falls, each (T, N, C) with up to 255 levels; the first frame is sent against 0. :func:`delta_decode`
        is off by at most ``threshold / 2`` where a frame changes by no more than 255 thresholds.
    """
    if frames.ndim != 3 or not frames.is_floating_point() or not bool(torch.isfinite(frames).all()):
        raise SpikeTrainError(f"frames must be finite and floating of shape (T, N, C), got {tuple(frames.shape)}.")
    if not 0 < threshold < float("inf"):
        raise SpikeTrainError(f"threshold must be positive and finite, got {threshold}.")
    reference = torch.zeros_like(frames[0], dtype=torch.float64)
    rises, falls = [], []
    for frame in frames.double():
        change = round_half_up((frame - reference) / threshold).clamp(-255, 255)
        rises.append(change.clamp(min=0).to(torch.uint8))
        falls.append((-change).clamp(min=0).to(torch.uint8))
        reference = reference + change * threshold
    return SpikeTrain(torch.stack(rises), 255), SpikeTrain(torch.stack(falls), 255)


def delta_decode(rises: SpikeTrain, falls: SpikeTrain, threshold: float) -> Tensor:
    """Frames (T, N, C) float64: running sums of the changes."""
    return (rises.spikes.double() - falls.spikes.double()).cumsum(dim=0) * threshold
