"""Sparse convolution by brute force, match after match; imports nothing of spikevox.

Output site o takes input i = o * stride - padding + j * dilation (in units of the input's tensor stride); the kernel
index of j = (x, y, z) is x + k_x (y + k_y z).
"""

from itertools import product

import numpy as np


def kernel_taps(kernel, padding, dilation):
    """(kernel index, offset in input steps) of every tap."""
    for x, y, z in product(*(range(k) for k in kernel)):
        index = x + kernel[0] * (y + kernel[1] * z)
        yield index, tuple(j * d - p for j, d, p in zip((x, y, z), dilation, padding, strict=True))


def find_matches(inputs, outputs, tensor_stride, kernel, stride, padding, dilation):
    """Every (kernel index, input row, output row); coordinates are rows of (sample, x, y, z)."""
    rows = {tuple(c): r for r, c in enumerate(inputs.tolist())}
    matches = []
    for out_row, (sample, *site) in enumerate(outputs.tolist()):
        for index, offset in kernel_taps(kernel, padding, dilation):
            wanted = (sample, *(c + o * t for c, o, t in zip(site, offset, tensor_stride, strict=True)))
            if wanted in rows:
                matches.append((index, rows[wanted], out_row))
    return matches


def covered_sites(inputs, tensor_stride, kernel, stride, padding, dilation):
    """Sites that a dense convolution without bounds would touch, in sorted order."""
    result = set()
    for sample, *site in inputs.tolist():
        step = [c // t for c, t in zip(site, tensor_stride, strict=True)]
        for _, offset in kernel_taps(kernel, padding, dilation):
            moved = [i - o for i, o in zip(step, offset, strict=True)]
            if all(m % s == 0 for m, s in zip(moved, stride, strict=True)):
                result.add((sample, *(m // s * s * t for m, s, t in zip(moved, stride, tensor_stride, strict=True))))
    return np.array(sorted(result), dtype=np.int64).reshape(-1, 4)


def strided_sites(inputs, tensor_stride, stride):
    """floor(coordinate / stride), in sorted order."""
    scale = [t * s for t, s in zip(tensor_stride, stride, strict=True)]
    result = {(b, *(c // s * s for c, s in zip(site, scale, strict=True))) for b, *site in inputs.tolist()}
    return np.array(sorted(result), dtype=np.int64).reshape(-1, 4)


def convolve(features, weight, bias, matches, outputs, groups):
    """Output features (outputs, C_out)."""
    result = np.tile(bias, (outputs, 1)) if bias is not None else np.zeros((outputs, weight.shape[2]))
    for ins, outs in _groups(features.shape[1], weight.shape[2], groups):
        for k, i, o in matches:
            result[o, outs] += features[i, ins] @ weight[k][:, outs]
    return result


def gradients(features, weight, matches, grad, groups):
    """Gradients of sum(grad * output) for features, weight and bias."""
    grad_features, grad_weight = np.zeros_like(features), np.zeros_like(weight)
    for ins, outs in _groups(features.shape[1], weight.shape[2], groups):
        for k, i, o in matches:
            grad_features[i, ins] += weight[k][:, outs] @ grad[o, outs]
            grad_weight[k][:, outs] += np.outer(features[i, ins], grad[o, outs])
    return grad_features, grad_weight, grad.sum(axis=0)


def _groups(channels_in, channels_out, groups):
    per_in, per_out = channels_in // groups, channels_out // groups
    return [(slice(g * per_in, (g + 1) * per_in), slice(g * per_out, (g + 1) * per_out)) for g in range(groups)]
