"""Spiking neurons in plain numpy, step after step; imports nothing of spikevox."""

import numpy as np


def integer_spikes(membrane, levels):
    """floor(clip(u, 0, D) + 0.5)."""
    return np.floor(np.clip(membrane, 0, levels) + 0.5)


def ilif(x, levels, decay):
    """U[1] = x[1]; S = spikes(U); U[t+1] = decay (U - S) + x[t+1]."""
    membrane, result = x[0], []
    for t in range(len(x)):
        result.append(integer_spikes(membrane, levels))
        if t + 1 < len(x):
            membrane = decay * (membrane - result[-1]) + x[t + 1]
    return np.stack(result)


def lif(x, decay, threshold, reset):
    """Charge, fire at the threshold, reset."""
    membrane, result = np.zeros_like(x[0]), []
    for current in x:
        membrane = decay * membrane + current
        spikes = (membrane >= threshold).astype(x.dtype)
        membrane = membrane - threshold * spikes if reset == "soft" else np.where(spikes > 0, 0, membrane)
        result.append(spikes)
    return np.stack(result)


def adaptive_lif(x, decay, threshold, adaptation, recovery):
    """The threshold rises by `adaptation` with each spike and recovers."""
    membrane, rise, result = np.zeros_like(x[0]), np.zeros_like(x[0]), []
    for current in x:
        membrane = decay * membrane + current
        now = threshold + adaptation * rise
        spikes = (membrane >= now).astype(x.dtype)
        membrane, rise = membrane - now * spikes, recovery * rise + spikes
        result.append(spikes)
    return np.stack(result)


def parallel(x, weight, bias):
    """H[t] = sum_s W[t, s] X[s] + b[t]; spikes where H >= 0."""
    result = np.empty_like(x)
    for t in range(len(x)):
        hidden = sum(weight[t, s] * x[s] for s in range(len(x))) + bias[t]
        result[t] = hidden >= 0
    return result
