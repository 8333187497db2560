"""The compiled library: exact on integers for every width and instruction set, equal for any number of threads."""

import gc
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from oracles.dense_conv import find_matches
from spikevox.encoding.errors import CoordinateRangeError
from spikevox.layers import BackendError, SparseTensor, SubmanifoldConv3d, native

pytestmark = pytest.mark.compiled
WIDTHS = (1, 3, 16, 19, 24, 32, 48, 64, 96, 128, 160, 256, 288, 384)
THERE = [
    name
    for level, name in enumerate(native.SIMD_LEVELS)
    if native.available() and native.library().spikevox_simd_name(level)
]
GEOMETRY = ((3, 3, 3), (-1, -1, -1), (1, 1, 1))


@pytest.fixture(params=THERE)
def simd(request, monkeypatch):
    monkeypatch.setenv("SPIKEVOX_SIMD", request.param)
    return request.param


def sites(count=700, extent=9, batch=2, seed=0):
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, [batch, extent, extent, extent], (count, 4)) - [0, 4, 4, 4]
    return torch.from_numpy(np.unique(rows, axis=0).astype(np.int32))


def problem(in_channels, out_channels, dtype=torch.float32, seed=0, levels=4, **options):
    """Integer spikes and weights: float32 sums of them are exact, in any order."""
    generator = torch.Generator().manual_seed(seed)
    rows = sites(seed=seed, **options)
    spikes = torch.randint(0, levels + 1, (len(rows), in_channels), generator=generator)
    spikes *= torch.rand(spikes.shape, generator=generator) < 0.3
    weight = torch.randint(-127, 128, (27, in_channels, out_channels), generator=generator)
    return rows, spikes.to(dtype), weight.to(dtype), native.NativeMap(rows, rows, *GEOMETRY)


def reference(rows, values, weight, kernel_map):
    """Sums in int64 over the pairs of the map."""
    offsets, inputs, outputs = kernel_map.pairs()
    result = torch.zeros(len(rows), weight.shape[2], dtype=torch.int64)
    for k in range(27):
        chosen = offsets == k
        result.index_add_(0, outputs[chosen], values.long()[inputs[chosen]] @ weight.long()[k])
    return result


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("out_channels", WIDTHS)
def test_integers_are_exact_at_every_width(simd, out_channels, dtype):
    rows, spikes, weight, kernel_map = problem(20, out_channels, dtype)
    expected = reference(rows, spikes, weight, kernel_map)
    events = native.NativeEvents(spikes)
    assert len(events) == int((spikes != 0).sum())
    assert torch.equal(native.convolve(spikes, events, weight, kernel_map, transposed=False).long(), expected)
    assert torch.equal(native.convolve(spikes, None, weight, kernel_map, transposed=False).long(), expected)


@pytest.mark.parametrize("in_channels", [1, 3, 4, 17, 300])
def test_integers_are_exact_for_every_number_of_inputs(simd, in_channels):
    rows, spikes, weight, kernel_map = problem(in_channels, 40)
    expected = reference(rows, spikes, weight, kernel_map)
    for events in (None, native.NativeEvents(spikes)):
        assert torch.equal(native.convolve(spikes, events, weight, kernel_map, transposed=False).long(), expected)


@pytest.mark.parametrize("out_channels", WIDTHS)
def test_gradients_are_exact_at_every_width(simd, out_channels):
    rows, spikes, weight, kernel_map = problem(20, out_channels)
    grad = torch.randint(-20, 21, (len(rows), out_channels), generator=torch.Generator().manual_seed(3)).float()
    offsets, inputs, outputs = kernel_map.pairs()
    expected = torch.stack(
        [spikes.long()[inputs[offsets == k]].T @ grad.long()[outputs[offsets == k]] for k in range(27)]
    )
    found = native.weight_gradient(spikes, native.NativeEvents(spikes), grad, kernel_map, transposed=False)
    assert torch.equal(found.long(), expected)
    turned = weight.transpose(1, 2).contiguous()
    expected = torch.zeros(len(rows), 20, dtype=torch.int64)
    for k in range(27):
        chosen = offsets == k
        expected.index_add_(0, inputs[chosen], grad.long()[outputs[chosen]] @ turned.long()[k])
    assert torch.equal(native.convolve(grad, None, turned, kernel_map, transposed=True).long(), expected)


def test_any_number_of_threads_gives_the_same_bits(simd):
    rows, spikes, weight, _ = problem(33, 48, count=6000, extent=24)
    spikes, weight = spikes * 0.37, weight * 0.011
    grad = torch.randn(len(rows), 48, generator=torch.Generator().manual_seed(1))
    results = []
    for threads in (1, 2, 3, 5):
        torch.set_num_threads(threads)
        kernel_map, events = native.NativeMap(rows, rows, *GEOMETRY), native.NativeEvents(spikes)
        results.append(
            (
                native.convolve(spikes, events, weight, kernel_map, transposed=False),
                native.convolve(grad, None, weight.transpose(1, 2).contiguous(), kernel_map, transposed=True),
                native.weight_gradient(spikes, events, grad, kernel_map, transposed=False),
                *kernel_map.pairs(),
            )
        )
    torch.set_num_threads(1)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_instruction_sets_agree_within_rounding(monkeypatch):
    _, spikes, weight, kernel_map = problem(64, 64)
    weight = weight * 0.013
    results = []
    for name in THERE:
        monkeypatch.setenv("SPIKEVOX_SIMD", name)
        assert native.simd() == name
        results.append(native.convolve(spikes, native.NativeEvents(spikes), weight, kernel_map, transposed=False))
    for other in results[1:]:
        assert (other - results[0]).abs().max() <= 1e-6 * results[0].abs().max()


@pytest.mark.parametrize("seed", range(25))
def test_maps_equal_brute_force(seed):
    """Any kernel, stride, dilation and padding; negative coordinates, gaps, sets that do not overlap."""
    generator = np.random.default_rng(seed)
    kernel, stride, dilation = (tuple(generator.integers(1, 4, 3).tolist()) for _ in range(3))
    padding = tuple(int(p) for p in generator.integers(0, 3, 3))
    inputs = sites(int(generator.integers(1, 900)), extent=int(generator.integers(1, 12)), batch=3, seed=seed)
    outputs = sites(300, extent=7, batch=4, seed=seed + 100) * torch.tensor([1, *stride], dtype=torch.int32)
    shift = torch.tensor([0, *generator.integers(-9, 9, 3).tolist()], dtype=torch.int32)
    inputs = inputs + shift
    kernel_map = native.NativeMap(inputs, outputs, kernel, tuple(-p for p in padding), dilation)
    found = sorted(zip(*(column.tolist() for column in kernel_map.pairs()), strict=True))
    assert found == sorted(find_matches(inputs.numpy(), outputs.numpy(), (1, 1, 1), kernel, stride, padding, dilation))


def test_many_tiles_of_rows_are_searched_from_their_own_start():
    rows = sites(40_000, extent=60, batch=3)
    kernel_map = native.NativeMap(rows, rows, *GEOMETRY)
    known = {tuple(row): i for i, row in enumerate(rows.tolist())}
    expected = [
        (x + 1 + 3 * (y + 1) + 9 * (z + 1), j, i)
        for i, (b, *site) in enumerate(rows.tolist())
        for z in (-1, 0, 1)
        for y in (-1, 0, 1)
        for x in (-1, 0, 1)
        if (j := known.get((b, site[0] + x, site[1] + y, site[2] + z))) is not None
    ]
    assert sorted(expected) == list(zip(*(column.tolist() for column in kernel_map.pairs()), strict=True))


@pytest.mark.parametrize("empty", ["inputs", "outputs", "both"])
def test_empty_sets_have_no_pairs(empty):
    none, some = torch.empty(0, 4, dtype=torch.int32), sites(50)
    inputs, outputs = (none if empty in (name, "both") else some for name in ("inputs", "outputs"))
    kernel_map = native.NativeMap(inputs, outputs, *GEOMETRY)
    assert len(kernel_map.pairs()[0]) == 0
    x = torch.ones(len(inputs), 3)
    events = native.NativeEvents(x)
    result = native.convolve(x, events, torch.ones(27, 3, 5), kernel_map, transposed=False)
    assert torch.equal(result, torch.zeros(len(outputs), 5))
    grad = native.weight_gradient(x, events, torch.ones(len(outputs), 5), kernel_map, transposed=False)
    assert torch.equal(grad, torch.zeros(27, 3, 5))


def test_coordinates_at_the_edges_of_int32():
    top = 2**31 - 1
    rows = torch.tensor([[0, -top, -1, 0], [0, top - 1, 5, top], [0, top, 5, top]], dtype=torch.int32)
    with pytest.raises(CoordinateRangeError, match="at most 62 fit"):
        native.NativeMap(rows, rows, *GEOMETRY)
    near = rows[1:].clone()
    offsets, inputs, outputs = native.NativeMap(near, near, *GEOMETRY).pairs()
    assert list(zip(offsets.tolist(), inputs.tolist(), outputs.tolist(), strict=True)) == [
        (12, 0, 1), (13, 0, 0), (13, 1, 1), (14, 1, 0),
    ]  # fmt: skip


def test_wrong_input_is_refused_before_any_memory_is_touched():
    rows, spikes, weight, kernel_map = problem(4, 8)
    events = native.NativeEvents(spikes)

    def run(values=spikes, kernels=weight, known=events):
        return native.convolve(values, known, kernels, kernel_map, transposed=False)

    with pytest.raises(TypeError, match=r"float32 or float64 of shape \(N, C\), got torch.float16"):
        run(spikes.half())
    with pytest.raises(TypeError, match=r"must be a contiguous torch\.float32 tensor"):
        run(torch.zeros(4, len(rows)).T)
    with pytest.raises(
        TypeError, match=r"weight must be a contiguous torch\.float32 tensor on the CPU, got torch\.float64"
    ):
        run(kernels=weight.double())
    with pytest.raises(TypeError, match=r"weight must have shape \(27, 4, C_out\), got \(27, 5, 8\)"):
        run(kernels=torch.zeros(27, 5, 8))
    with pytest.raises(BackendError, match="the features have other rows than the kernel map"):
        run(spikes[:-1].contiguous())
    with pytest.raises(BackendError, match="events belong to other features"):
        run(known=native.NativeEvents(torch.ones(len(rows), 5)))
    with pytest.raises(BackendError, match="the gradient has other rows"):
        native.weight_gradient(spikes, events, torch.zeros(3, 8), kernel_map, transposed=False)
    with pytest.raises(TypeError, match=r"inputs must be a contiguous torch\.int32"):
        native.NativeMap(rows.long(), rows, *GEOMETRY)
    with pytest.raises(TypeError, match=r"outputs must have shape \(N, 4\)"):
        native.NativeMap(rows, rows[:, :3], *GEOMETRY)
    with pytest.raises(BackendError, match="input sites must ascend without repetition; row 1 does not"):
        native.NativeMap(rows.flip(0).contiguous(), rows, *GEOMETRY)
    with pytest.raises(BackendError, match="output sites must ascend without repetition"):
        native.NativeMap(rows, torch.cat([rows[:1], rows]), *GEOMETRY)
    with pytest.raises(BackendError, match="kernel size and step must be positive"):
        native.NativeMap(rows, rows, (3, 0, 3), (0, 0, 0), (1, 1, 1))


def test_a_backward_pass_outlives_its_tensors():
    rows, spikes, _, _ = problem(4, 8)
    layer = SubmanifoldConv3d(4, 8)
    features = spikes.clone().requires_grad_()
    loss = layer(SparseTensor(features, rows, batch_size=2, backend="compiled")).features.square().sum()
    gc.collect()
    loss.backward()
    again = SparseTensor(spikes.clone().requires_grad_(), rows, batch_size=2, backend="torch_ops")
    expected = torch.autograd.grad(layer(again).features.square().sum(), layer.weight)[0]
    assert torch.allclose(layer.weight.grad, expected, atol=1e-5)


def test_two_threads_of_python_at_once_are_right():
    jobs = [problem(16, 32, seed=seed, count=3000, extent=20) for seed in range(4)]
    expected = [reference(rows, spikes, weight, found) for rows, spikes, weight, found in jobs]
    wrong = []

    def work(index):
        _, spikes, weight, kernel_map = jobs[index]
        for _ in range(20):
            found = native.convolve(spikes, native.NativeEvents(spikes), weight, kernel_map, transposed=False)
            if not torch.equal(found.long(), expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_unknown_instruction_set_is_named():
    code = "from spikevox.layers import native\nnative.simd()"
    environment = {"SPIKEVOX_SIMD": "avx9000", "PATH": ""}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert "SPIKEVOX_SIMD is 'avx9000'; this processor has portable" in result.stderr


def test_a_library_of_another_version_is_not_used(monkeypatch):
    native.library.cache_clear()
    monkeypatch.setattr(native, "INTERFACE_VERSION", 99)
    assert "has interface 5, this version needs 99" in native.reason_absent()
    native.library.cache_clear()


def test_without_the_library_the_reason_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(native, "_LIBRARY", tmp_path / "_native.so")
    assert not native.available()
    assert "install a C++ compiler" in native.reason_absent()
    (tmp_path / "_native.so").write_bytes(b"no library")
    native.library.cache_clear()
    assert not native.available()
    native.library.cache_clear()
    with pytest.raises(BackendError, match="the backend 'compiled' is not there"):
        SparseTensor(torch.ones(1, 1), torch.zeros(1, 4, dtype=torch.int32), backend="compiled")


def test_sites_that_leave_no_room_around_them_are_convolved_all_the_same():
    rows = torch.tensor([[0, -(2**29), 0, 0], [0, 0, 2**29, 0], [0, 0, 2**29, 1]], dtype=torch.int32)
    with pytest.raises(CoordinateRangeError):
        native.NativeMap(rows, rows, *GEOMETRY)
    layer = SubmanifoldConv3d(2, 3)
    results = [
        layer(SparseTensor(torch.ones(3, 2), rows, batch_size=1, backend=backend))
        for backend in ("compiled", "torch_ops")
    ]
    assert torch.allclose(results[0].features, results[1].features)
    maps = [y.maps.pairs(y.sites, y.sites, layer.geometry) for y in results]
    assert all(torch.equal(a, b) for a, b in zip(*maps, strict=True))
