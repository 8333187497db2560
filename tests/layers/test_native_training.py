"""Training in the compiled library: normalisation, neurons, turned weights; against numpy, torch and exact integers."""

import numpy as np
import pytest
import torch
from torch import nn

from spikevox.layers import BackendError, native
from spikevox.layers.native_training import (
    Statistics,
    Unit,
    normalise,
    normalise_gradient,
    statistics,
)

pytestmark = pytest.mark.compiled
THERE = [
    name
    for level, name in enumerate(native.SIMD_LEVELS)
    if native.available() and native.library().spikevox_simd_name(level)
]
SHAPES = [(1, 1), (2, 3), (255, 16), (256, 19), (257, 32), (1000, 24), (700, 130)]


@pytest.fixture(params=THERE)
def simd(request, monkeypatch):
    monkeypatch.setenv("SPIKEVOX_SIMD", request.param)
    return request.param


def table(shape, dtype=torch.float64, offset=3.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype) * 2 + offset


@pytest.mark.parametrize("shape", SHAPES)
def test_statistics_are_numpys(simd, shape):
    x = table(shape)
    found = statistics(x)
    np.testing.assert_allclose(found.mean, x.numpy().mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.variance, x.numpy().var(axis=0), rtol=1e-11, atol=1e-12)


def test_a_large_mean_does_not_swallow_the_variance(simd):
    # Float32 holds 24 bits: a variance of 1 around 1,000 from a difference of mean squares would be wrong in the third digit.
    x = table((5000, 16), torch.float32, offset=0.0) / 2 + 1000
    expected = x.double().numpy().var(axis=0)
    np.testing.assert_allclose(statistics(x).variance, expected, rtol=2e-5)


@pytest.mark.parametrize("shape", SHAPES[1:])
def test_normalisation_and_its_gradients_are_torchs(simd, shape):
    x = table(shape).requires_grad_()
    norm = nn.BatchNorm1d(shape[1], eps=1e-3).double()
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.uniform_(norm.bias)
    grad = table(shape, offset=0.3, seed=1)
    expected = norm(x)
    expected.backward(grad)
    values, weight, bias = x.detach(), norm.weight.detach(), norm.bias.detach()
    of_x = statistics(values)
    torch.testing.assert_close(normalise(values, of_x, 1e-3, weight, bias), expected.detach(), rtol=1e-10, atol=1e-10)
    found = normalise_gradient(grad, values, of_x, 1e-3, weight)
    for mine, theirs in zip(found, (x.grad, norm.weight.grad, norm.bias.grad), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_any_number_of_threads_gives_the_same_bits(simd):
    x, grad = table((3000, 48), torch.float32), table((3000, 48), torch.float32, seed=2)
    weight, bias, turn = torch.rand(48), torch.rand(48), torch.rand(1, 48, 48)
    unit = site_by_site(3000, 4)
    results = []
    for threads in (1, 2, 3, 5):
        torch.set_num_threads(threads)
        of_x = statistics(x)
        result, tensors = unit.forward(x, turn, weight, bias)
        results.append(
            (
                *of_x,
                normalise(x, of_x, 1e-3, weight, bias),
                *normalise_gradient(grad, x, of_x, 1e-3, weight),
                result,
                tensors.spikes,
                *unit.backward(grad, tensors, of_membrane=True, of_weight=True),
            )
        )
    torch.set_num_threads(1)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def site_by_site(rows, levels):
    """A unit whose convolution is a matrix product, site by site."""
    coordinates = torch.zeros(rows, 4, dtype=torch.int32)
    coordinates[:, 1] = torch.arange(rows)
    return Unit(native.NativeMap(coordinates, coordinates, (1, 1, 1), (0, 0, 0), (1, 1, 1)), False, 1e-3, levels)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("levels", [1, 4, 255])
def test_spikes_and_their_gradient_follow_the_definition(simd, dtype, levels):
    edges = torch.tensor([-1.0, -0.0, 0.0, 0.4999, 0.5, 1.5, 2.5, levels - 0.5, levels - 0.5001, levels, levels + 3.0])
    # Rolled, so that each channel varies over the rows.
    membrane = torch.stack([edges.to(dtype).roll(row).repeat(3) for row in range(7)])
    weight = torch.eye(33, dtype=dtype)[None]
    scale, bias, grad = torch.ones(33, dtype=dtype), torch.zeros(33, dtype=dtype), table((7, 33), dtype)
    unit = site_by_site(7, levels)
    _, tensors = unit.forward(membrane, weight, scale, bias)
    expected = np.floor(np.clip(membrane.numpy(), 0, levels) + dtype_of(membrane)(0.5))
    np.testing.assert_array_equal(tensors.spikes.numpy(), expected)
    spikes = torch.from_numpy(expected).requires_grad_()
    nn.functional.batch_norm(spikes, None, None, scale, bias, training=True, eps=1e-3).backward(grad)
    found = unit.backward(grad, tensors, of_membrane=True, of_weight=False)[0]
    inside = (membrane > 0) & (membrane < levels)
    assert (found[inside] != 0).all()
    assert (found[~inside] == 0).all()
    # The order of sums over seven rows, divided by a deviation.
    tolerance = 1e-4 if dtype == torch.float32 else 1e-10
    torch.testing.assert_close(found[inside], spikes.grad[inside], rtol=tolerance, atol=tolerance)


def dtype_of(values):
    return values.numpy().dtype.type


def test_what_is_no_number_stays_none(simd):
    membrane = torch.zeros(40, 20)
    membrane[17, 13] = float("nan")
    _, tensors = site_by_site(40, 4).forward(membrane, torch.rand(1, 20, 8), torch.ones(8), torch.zeros(8))
    assert tensors.spikes[17, 13].isnan()
    assert int(tensors.spikes.isnan().sum()) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("inputs", "outputs", "rows"), [(16, 16, 40), (19, 33, 300), (64, 48, 900), (130, 24, 2000)])
def test_a_turned_weight_is_the_transposed_one(simd, dtype, inputs, outputs, rows):
    generator = torch.Generator().manual_seed(0)
    coordinates = torch.unique(torch.randint(0, 14, (rows, 4), generator=generator, dtype=torch.int32), dim=0)
    kernel_map = native.NativeMap(coordinates, coordinates, (3, 3, 3), (-1, -1, -1), (1, 1, 1))
    weight = torch.randint(-9, 10, (27, inputs, outputs), generator=generator).to(dtype)
    grad = torch.randint(-9, 10, (len(coordinates), outputs), generator=generator).to(dtype)
    expected = native.convolve(grad, None, weight.transpose(1, 2).contiguous(), kernel_map, transposed=True)
    assert expected.abs().max() > 0
    assert torch.equal(native.convolve(grad, None, weight, kernel_map, transposed=True, turned=True), expected)


def test_wrong_input_is_refused_before_any_memory_is_touched():
    x = table((10, 4), torch.float32)
    of_x, weight = statistics(x), torch.ones(4)
    with pytest.raises(TypeError, match=r"weight must have shape \(4,\), got \(5,\)"):
        normalise(x, of_x, 1e-3, torch.ones(5), weight)
    with pytest.raises(TypeError, match=r"bias must be a contiguous torch\.float32"):
        normalise(x, of_x, 1e-3, weight, weight.double())
    with pytest.raises(TypeError, match=r"grad must have shape \(10, 4\), got \(9, 4\)"):
        normalise_gradient(x[:9].contiguous(), x, of_x, 1e-3, weight)
    with pytest.raises(TypeError, match=r"of_x must hold float64 of shape \(4,\)"):
        normalise(x, Statistics(torch.zeros(3), torch.zeros(4)), 1e-3, weight, weight)
    with pytest.raises(TypeError, match=r"float32 or float64 of shape \(N, C\), got torch\.float16"):
        statistics(x.half())
    with pytest.raises(BackendError, match="a table needs rows, and channels between 1 and 65535"):
        statistics(torch.zeros(0, 4))
    coordinates = torch.zeros(1, 4, dtype=torch.int32)
    kernel_map = native.NativeMap(coordinates, coordinates, (1, 1, 1), (0, 0, 0), (1, 1, 1))
    unit, ones = Unit(kernel_map, False, 1e-3, 4), torch.ones(6)
    with pytest.raises(TypeError, match=r"weight must have shape \(1, 4, C_out\), got \(1, 5, 6\)"):
        unit.forward(x[:1], torch.zeros(1, 5, 6), ones, ones)
    with pytest.raises(TypeError, match=r"membrane must be a contiguous torch\.float32"):
        unit.forward(x[:1, ::2], torch.zeros(1, 2, 6), ones, ones)
    with pytest.raises(TypeError, match=r"scale must be a contiguous torch\.float32"):
        unit.forward(x[:1], torch.zeros(1, 4, 6), ones.double(), ones)
    with pytest.raises(TypeError, match=r"bias must have shape \(6,\), got \(5,\)"):
        unit.forward(x[:1], torch.zeros(1, 4, 6), ones, torch.ones(5))
    with pytest.raises(BackendError, match="the membrane has other rows than the kernel map"):
        unit.forward(x, torch.zeros(1, 4, 6), ones, ones)
    _, tensors = unit.forward(x[:1], torch.zeros(1, 4, 6), ones, ones)
    with pytest.raises(TypeError, match=r"grad must have shape \(1, 6\), got \(2, 6\)"):
        unit.backward(torch.ones(2, 6), tensors, of_membrane=True, of_weight=True)
    with pytest.raises(TypeError, match=r"weight must have shape \(1, C_out, 4\), got \(1, 4, 5\)"):
        native.convolve(x[:1], None, torch.zeros(1, 4, 5), kernel_map, transposed=True, turned=True)
