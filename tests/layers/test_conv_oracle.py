"""Every convolution on every backend, forward and gradients, against brute force."""

import numpy as np
import pytest
import torch

from oracles.dense_conv import convolve, covered_sites, find_matches, gradients, strided_sites
from oracles.random_cases import coverage_table, default_padding, random_case
from spikevox.layers import SparseConv3d, SparseInverseConv3d, SparseTensor, SubmanifoldConv3d

BACKENDS = ("minkowski", "torch_ops", "compiled")
# float64 on both sides: sums of some hundred products differ by their order alone.
TOLERANCE = 1e-12


def check_close(found, expected):
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    assert np.abs(found.detach().numpy() - expected).max(initial=0) <= TOLERANCE * scale


def tensor(case, backend):
    features = torch.from_numpy(case["features"].copy()).requires_grad_()
    x = SparseTensor(
        features,
        torch.from_numpy(case["coordinates"]),
        batch_size=case["batch_size"],
        tensor_stride=case["tensor_stride"],
        backend=backend,
    )
    return features, x


def options(case):
    return {"groups": case["groups"], "bias": case["bias"], "dilation": case["dilation"]}


def randomise(layer):
    generator = torch.Generator().manual_seed(1)
    layer.double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return layer


def check(layer, features, x, y, matches, groups):
    """Forward and gradients of one layer; matches are (kernel index, row of x, row of y)."""
    sorted_features = x.features.detach().numpy()
    weight = layer.weight.detach().numpy()
    bias = None if layer.bias is None else layer.bias.detach().numpy()
    check_close(y.features, convolve(sorted_features, weight, bias, matches, len(y), groups))
    grad = np.random.default_rng(5).normal(size=tuple(y.features.shape))
    inputs = [features, *layer.parameters()]
    found = torch.autograd.grad(y.features, inputs, torch.from_numpy(grad), allow_unused=True)
    expected = gradients(sorted_features, weight, matches, grad, groups)
    order = slice(None) if features is x.features else torch.argsort(x.input_rows)
    check_close(found[0][order], expected[0])
    for value, reference in zip(found[1:], expected[1:], strict=False):
        check_close(value, reference)


def check_submanifold(case, backend):
    layer = randomise(SubmanifoldConv3d(*case["channels"], kernel_size=case["kernel"], **options(case)))
    features, x = tensor(case, backend)
    y = layer(x)
    assert y.sites is x.sites
    border = default_padding(case["kernel"], case["dilation"])
    coordinates = x.coordinates.numpy()
    matches = find_matches(
        coordinates, coordinates, case["tensor_stride"], case["kernel"], (1, 1, 1), border, case["dilation"]
    )
    check(layer, features, x, y, matches, case["groups"])
    return len(matches) / len(x)


def strided(case, backend):
    layer = SparseConv3d(
        *case["channels"],
        kernel_size=case["kernel"],
        stride=case["stride"],
        padding=case["padding"],
        sites=case["sites"],
        **options(case),
    )
    features, x = tensor(case, backend)
    border = case["padding"] or default_padding(case["kernel"], case["dilation"])
    geometry = (case["tensor_stride"], case["kernel"], case["stride"], border, case["dilation"])
    if case["sites"] == "covered":
        outputs = covered_sites(x.coordinates.numpy(), *geometry)
    else:
        outputs = strided_sites(x.coordinates.numpy(), case["tensor_stride"], case["stride"])
    return randomise(layer), features, x, outputs, find_matches(x.coordinates.numpy(), outputs, *geometry)


def check_strided(case, backend):
    layer, features, x, outputs, matches = strided(case, backend)
    y = layer(x)
    assert np.array_equal(y.coordinates.numpy(), outputs)
    assert y.tensor_stride == tuple(t * s for t, s in zip(case["tensor_stride"], case["stride"], strict=True))
    assert y.batch_size == case["batch_size"]
    check(layer, features, x, y, matches, case["groups"])
    return len(matches) / len(x)


def check_inverse(case, backend):
    down, _, fine, _, matches = strided(case, backend)
    coarse = down(fine)
    if len(coarse) == 0:
        return 0.0
    layer = SparseInverseConv3d(
        case["channels"][1],
        case["channels"][0],
        kernel_size=case["kernel"],
        stride=case["stride"],
        padding=case["padding"],
        **options(case),
    )
    randomise(layer)
    start = coarse.features.detach().requires_grad_()
    x = coarse.replace(start)
    y = layer(x)
    assert y.sites is fine.sites
    check(layer, start, x, y, [(k, o, i) for k, i, o in matches], case["groups"])
    assert layer(x, like=fine).sites is fine.sites
    return len(matches) / len(y)


CHECKS = {"submanifold": check_submanifold, "strided": check_strided, "inverse": check_inverse}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("layer", CHECKS)
def test_a_sample_of_random_cases_equals_brute_force(layer, backend):
    for seed in range(30):
        CHECKS[layer](random_case(seed), backend)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("layer", CHECKS)
def test_three_hundred_random_cases_equal_brute_force(layer, backend, capsys):
    cases = [random_case(seed) for seed in range(1000, 1300)]
    pairs = [CHECKS[layer](case, backend) for case in cases]
    filled = [case for case, count in zip(cases, pairs, strict=True) if len(case["coordinates"]) >= 200 and count >= 3]
    assert len(filled) >= 200
    with capsys.disabled():
        print(f"\n{layer} on {backend}\n{coverage_table(cases, pairs)}")


@pytest.mark.minkowski
@pytest.mark.compiled
@pytest.mark.parametrize("seed", range(12))
def test_backends_agree_in_float32(seed):
    case = random_case(seed)
    results = []
    for backend in BACKENDS:
        torch.manual_seed(0)
        layer = SubmanifoldConv3d(*case["channels"], kernel_size=case["kernel"], **options(case))
        features, x = tensor({**case, "features": case["features"].astype(np.float32)}, backend)
        y = layer(x)
        results.append((y.features, *torch.autograd.grad(y.features.square().sum(), [features, layer.weight])))
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            # Rounding of float32 sums in another order.
            assert torch.allclose(one, other, atol=1e-5, rtol=1e-5)
