"""When the activity of a layer is ill: a threshold, what it means and what to try, for each kind of illness."""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from spikevox.layers.errors import LayerError
from spikevox.layers.monitor.activity import LayerActivity


@dataclass(frozen=True)
class Thresholds:
    """What counts as ill. All are shares but the ratios of gradients and the numbers of values.

    Args:
        dead: of a layer's channels that may never fire.
        silent: of a layer's channels that may fire at fewer than ``silent_below`` of their values.
        silent_below: see ``silent``.
        saturated: of a layer's channels that may be at the highest level at more than ``saturated_above`` of their values.
        saturated_above: see ``saturated``.
        bursting: of a layer's channels that may be bursting: where one fires, it does so in more than ``bursting_above`` of the
            site's T D virtual steps, and at fewer than half of its values.
        bursting_above: see ``bursting``.
        unused_levels: of the values that are not 0: the upper half of the levels must have at least this.
        in_reach: of the membranes, at least.
        vanishing: a layer's gradient at the membranes over the median of all layers, at least.
        exploding: the same, at most.
        drift: change of a layer's firing rate from training to evaluation, over the larger of the two and ``drift_floor``.
        drift_floor: firing rate below which a change tells nothing.
        least_values: values a channel, below which a layer is not judged.

    Raises:
        LayerError: a threshold that is negative or NaN.
    """

    dead: float = 0.5
    silent: float = 0.5
    silent_below: float = 1e-3
    saturated: float = 0.25
    saturated_above: float = 0.5
    bursting: float = 0.25
    bursting_above: float = 0.8
    unused_levels: float = 1e-3
    in_reach: float = 0.02
    vanishing: float = 1e-4
    exploding: float = 1e4
    drift: float = 0.5
    drift_floor: float = 0.02
    least_values: int = 100

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise LayerError(f"threshold {name} must be at least 0, got {value!r}.")


@dataclass(frozen=True)
class HealthFinding:
    """Something ill in a layer.

    Attributes:
        kind: ``dead``, ``silent``, ``saturated``, ``bursting``, ``levels``, ``membrane``, ``gradient`` or ``drift``.
        layer: its name in the network.
        value: what was measured.
        threshold: what it was held against.
        text: what was found, in words.
        meaning: what it means.
        remedy: what to try.
    """

    kind: str
    layer: str
    value: float
    threshold: float
    text: str
    meaning: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.layer}: {self.text}. {self.meaning} {self.remedy}"


Rule = Callable[[str, LayerActivity, Thresholds], HealthFinding | None]


def judge(
    layers: Mapping[str, LayerActivity], backward: Mapping[str, LayerActivity], thresholds: Thresholds
) -> Iterator[HealthFinding]:
    """What is ill in layers.

    Args:
        layers: their spikes and membranes.
        backward: their gradients, where a backward pass was seen.
        thresholds: what counts as ill.
    """
    median = _median_gradient(backward)
    for name in {**layers, **backward}:
        activity = layers.get(name)
        if activity is not None and activity.samples >= thresholds.least_values:
            yield from (found for rule in _RULES if (found := rule(name, activity, thresholds)) is not None)
        if name in backward:
            yield from _gradient(name, backward[name], median, thresholds)


def judge_drift(
    train: Mapping[str, LayerActivity], evaluation: Mapping[str, LayerActivity], thresholds: Thresholds
) -> Iterator[HealthFinding]:
    """Layers that fire otherwise in evaluation than in training."""
    for name in (name for name in train if name in evaluation):
        if min(train[name].samples, evaluation[name].samples) < thresholds.least_values:
            continue
        before, after = train[name].firing_rate, evaluation[name].firing_rate
        change = abs(after - before) / max(before, after, thresholds.drift_floor)
        if change > thresholds.drift:
            yield HealthFinding(
                "drift",
                name,
                change,
                thresholds.drift,
                f"fires {before:.4f} spikes a value in training and {after:.4f} in evaluation, {change:.0%} apart",
                "The running statistics of a normalisation before it are not those of the data, or the two kinds of data differ.",
                "Train longer after the last change of the learning rate, raise batch_norm_momentum or the batch size, or run "
                "some batches in training mode without steps; compare on the same data.",
            )


def _channels(
    kind: str, ill: Tensor, limit: float, layer: str, what: str, meaning: str, remedy: str
) -> HealthFinding | None:
    """A finding where more of the channels are ill than may be."""
    share = float(ill.double().mean())
    if share <= limit:
        return None
    text = f"{int(ill.sum())} of {len(ill)} channels {what}"
    return HealthFinding(kind, layer, share, limit, text, meaning, remedy)


def _dead(layer: str, activity: LayerActivity, limits: Thresholds) -> HealthFinding | None:
    return _channels(
        "dead",
        activity.nonzero == 0,
        limits.dead,
        layer,
        f"never fired in {activity.samples} values each",
        "They carry nothing, and with membranes out of the surrogate's reach they learn nothing either.",
        "Lower the learning rate or warm up longer, put a normalisation before the neuron, or make the layer narrower.",
    )


def _silent(layer: str, activity: LayerActivity, limits: Thresholds) -> HealthFinding | None:
    return _channels(
        "silent",
        (activity.nonzero > 0) & (activity.nonzero < limits.silent_below),
        limits.silent,
        layer,
        f"fired at fewer than {limits.silent_below:.2%} of their values",
        "They tell the next layer next to nothing.",
        "Lower a threshold or a penalty on spikes (spike_rate), raise the bias of the normalisation before it, or make the layer "
        "narrower.",
    )


def _saturated(layer: str, activity: LayerActivity, limits: Thresholds) -> HealthFinding | None:
    return _channels(
        "saturated",
        activity.at_top > limits.saturated_above,
        limits.saturated,
        layer,
        f"are at level {activity.levels} of {activity.levels} at more than {limits.saturated_above:.0%} of their values",
        "What lies above the highest level is cut off, and no gradient passes there.",
        "Use more levels, put a normalisation before the neuron, lower the learning rate, or ask for fewer spikes (spike_rate).",
    )


def _bursting(layer: str, activity: LayerActivity, limits: Thresholds) -> HealthFinding | None:
    if activity.levels * activity.steps < 2:
        return None
    burst = (activity.burst > limits.bursting_above) & (activity.nonzero < 0.5)
    return _channels(
        "bursting",
        burst & (activity.nonzero > 0),
        limits.bursting,
        layer,
        f"fire seldom, but then in more than {limits.bursting_above:.0%} of a site's "
        f"{activity.steps * activity.levels} virtual steps",
        "They say yes or no with many spikes where one would do: energy without information.",
        "Use fewer levels or time steps, lower the scale of the normalisation before it, or ask for fewer spikes (spike_rate).",
    )


def _levels(layer: str, activity: LayerActivity, limits: Thresholds) -> HealthFinding | None:
    shares = activity.histogram
    fired = 1 - float(shares[0])
    half = activity.levels // 2
    if activity.levels < 2 or fired <= 0:
        return None
    upper = float(shares[half + 1 :].sum()) / fired
    if upper >= limits.unused_levels:
        return None
    return HealthFinding(
        "levels",
        layer,
        upper,
        limits.unused_levels,
        f"{upper:.3%} of the values that are not 0 reach level {half + 1} of {activity.levels} or more",
        "The upper levels are hardly used.",
        f"Use levels={max(1, half)}, which costs fewer virtual steps, or raise the scale of the normalisation before it.",
    )


def _membrane(layer: str, activity: LayerActivity, limits: Thresholds) -> HealthFinding | None:
    seen = activity.membranes
    if seen is None or (not seen.invalid and seen.in_reach >= limits.in_reach):
        return None
    spread = f"{seen.low:.3g} to {seen.high:.3g}, mean {seen.mean:.3g}"
    text = f"{seen.in_reach:.2%} of the membranes ({spread}) are where a small change changes the spikes"
    if seen.invalid:
        text = f"{seen.invalid} membranes are NaN or infinite, the others {spread}"
    return HealthFinding(
        "membrane",
        layer,
        math.nan if seen.invalid else seen.in_reach,
        limits.in_reach,
        text,
        "Its spikes hardly depend on the input, and little gradient passes.",
        "Put a normalisation before the neuron, lower the learning rate, or look at the scale of the input features.",
    )


_RULES: tuple[Rule, ...] = (_dead, _silent, _saturated, _bursting, _levels, _membrane)


def _median_gradient(layers: Mapping[str, LayerActivity]) -> float:
    sizes = [activity.gradients.membranes for activity in layers.values() if activity.gradients is not None]
    return statistics.median(sizes) if sizes else 0.0


def _gradient(layer: str, activity: LayerActivity, median: float, limits: Thresholds) -> Iterator[HealthFinding]:
    seen = activity.gradients
    if seen is None:
        return
    ratio = seen.membranes / median if median > 0 else 0.0 if seen.membranes == 0 else math.inf
    said = f"the gradient at its membranes is {seen.membranes:.3g}, {ratio:.3g} of the median of all layers"
    slower = "Lower the learning rate, or clip gradients (optim_wrapper.clip_grad)."
    if seen.invalid:
        text = f"{seen.invalid} of its gradients are NaN or infinite"
        yield HealthFinding(
            "gradient", layer, math.nan, limits.exploding, text, "The next step spoils the weights.", slower
        )
    elif ratio < limits.vanishing:
        meaning = "What lies before it hardly learns."
        remedy = "Use a wider surrogate, a normalisation before the neuron, a shortcut around it, or fewer layers."
        yield HealthFinding("gradient", layer, ratio, limits.vanishing, said, meaning, remedy)
    elif ratio > limits.exploding:
        meaning = "What lies before it is thrown about."
        yield HealthFinding("gradient", layer, ratio, limits.exploding, said, meaning, slower)
