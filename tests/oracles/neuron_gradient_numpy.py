"""Back-propagation through time of spiking neurons, written out by hand in numpy; imports nothing of spikevox.

Every function takes the input x and the gradient `upper` of the loss with respect to the spikes, both (T, ...), and
returns the gradient with respect to x and to learned parameters. The spike's derivative is that of a logistic step of
sharpness 1; spikes that reset a membrane count as constants.
"""

import numpy as np


def derivative(distance):
    """Of the logistic function."""
    smooth = 1 / (1 + np.exp(-distance))
    return smooth * (1 - smooth)


def ilif(x, upper, levels, decay):
    """The window 0 < u < D, and the leak from step to step."""
    membranes, before = [], np.zeros_like(x[0])
    for current in x:
        membranes.append(before + current)
        before = decay * (membranes[-1] - np.floor(np.clip(membranes[-1], 0, levels) + 0.5))
    result, later = np.zeros_like(x), np.zeros_like(x[0])
    for t in reversed(range(len(x))):
        window = (membranes[t] > 0) & (membranes[t] < levels)
        result[t] = upper[t] * window + decay * later
        later = result[t]
    return result


def lif(x, upper, decay, threshold, reset):
    """Gradients of the input and of the decay."""
    charged, rested = [], [np.zeros_like(x[0])]
    for current in x:
        charged.append(decay * rested[-1] + current)
        spikes = charged[-1] >= threshold
        rested.append(charged[-1] - threshold * spikes if reset == "soft" else np.where(spikes, 0, charged[-1]))
    result, of_decay, of_rest = np.zeros_like(x), 0.0, np.zeros_like(x[0])
    for t in reversed(range(len(x))):
        passed = 1.0 if reset == "soft" else charged[t] < threshold
        result[t] = upper[t] * derivative(charged[t] - threshold) + of_rest * passed
        of_decay += (result[t] * rested[t]).sum()
        of_rest = decay * result[t]
    return result, of_decay


def adaptive_lif(x, upper, decay, threshold, adaptation, recovery):
    """The rising threshold carries gradient from later steps back to the spikes that raised it."""
    membrane, rise, steps = np.zeros_like(x[0]), np.zeros_like(x[0]), []
    for current in x:
        charged, level = decay * membrane + current, threshold + adaptation * rise
        spikes = (charged >= level).astype(x.dtype)
        steps.append((charged, level, spikes))
        membrane, rise = charged - level * spikes, recovery * rise + spikes
    result = np.zeros_like(x)
    of_membrane, of_rise = np.zeros_like(x[0]), np.zeros_like(x[0])
    for t in reversed(range(len(x))):
        charged, level, spikes = steps[t]
        of_distance = (upper[t] + of_rise) * derivative(charged - level)
        result[t] = of_distance + of_membrane
        of_level = -of_distance - of_membrane * spikes
        of_membrane, of_rise = decay * result[t], recovery * of_rise + adaptation * of_level
    return result


def parallel(x, upper, weight, bias):
    """Gradients of the input, the weight and the bias."""
    steps = range(len(x))
    hidden = np.stack([sum(weight[t, s] * x[s] for s in steps) + bias[t] for t in steps])
    of_hidden = upper * derivative(hidden)
    of_x = np.stack([sum(weight[t, s] * of_hidden[t] for t in steps) for s in steps])
    of_weight = np.array([[(of_hidden[t] * x[s]).sum() for s in steps] for t in steps])
    return of_x, of_weight, np.array([of_hidden[t].sum() for t in steps])
