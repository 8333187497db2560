"""What holds on a GPU: every claim is checked on the CPU too, so that the checks themselves are."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from oracles.dense_conv import covered_sites, find_matches
from oracles.host_reads import HostReads
from spikevox.layers import (
    AveragePool3d,
    GlobalMeanPool,
    Linear,
    MaxPool3d,
    SparseConv3d,
    SparseInverseConv3d,
    SparseTensor,
    SubmanifoldConv3d,
)
from spikevox.layers.backbones import Encoder, UNet

NO_DEVICE = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_DEVICE])]
NETWORKS = {"encoder T": lambda: Encoder("T", 4), "small U-Net": lambda: UNet(4, size="small")}
LABELS = torch.tensor([0, 3, 4])


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


@contextmanager
def no_wait(device):
    """A block in which the host reads nothing from the device."""
    if device == "cpu":
        with HostReads() as reads:
            yield
        assert reads == []
        return
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def cloud(seed=0):
    """Rows (sample, x, y, z) of three samples, in no order."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(-8, 9, (400, 4), generator=generator)
    rows[:, 0] %= 3
    rows = torch.unique(rows, dim=0)
    return rows[torch.randperm(len(rows), generator=generator)]


def tensor(device, kind=torch.float32, backend="torch_ops"):
    """The same values on any device, made there; ``backend=None`` takes the default of the CPU."""
    rows = cloud()
    features = torch.randn(len(rows), 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return SparseTensor(features.to(device, kind), rows.to(device), batch_size=3, backend=backend)


def classifier(name, device, kind=torch.float32):
    torch.manual_seed(0)
    backbone = NETWORKS[name]()
    return nn.Sequential(backbone, Linear(backbone.out_channels, 5), GlobalMeanPool()).to(device, kind).train()


def test_sites_and_kernel_maps_are_those_of_brute_force(device):
    x = tensor(device)
    rows = np.unique(cloud().numpy(), axis=0)
    assert np.array_equal(x.coordinates.cpu().numpy(), rows)
    for kernel, stride in ((3, 1), (2, 2), (3, 2)):
        layer = SparseConv3d(4, 4, kernel_size=kernel, stride=stride).to(device)
        y = layer(x)
        rule = ((kernel,) * 3, (stride,) * 3, (kernel // 2 if kernel % 2 else 0,) * 3, (1, 1, 1))
        outputs = covered_sites(rows, (1, 1, 1), *rule)
        assert np.array_equal(y.coordinates.cpu().numpy(), outputs)
        found = torch.stack(x.maps.pairs(x.sites, y.sites, layer.geometry), dim=1).tolist()
        assert {tuple(match) for match in found} == set(find_matches(rows, outputs, (1, 1, 1), *rule))


def convolution_gradients(build, device, kind, backend, *, magnitudes=False):
    """Result and gradients of features and weight, on the CPU in float64; those of magnitudes bound sums of products."""
    torch.manual_seed(0)
    layer = build().double()
    x = tensor("cpu", torch.float64)
    upper = torch.randn(len(layer(x)), layer.out_channels, dtype=torch.float64)
    features = x.features
    if magnitudes:
        features, upper = features.abs(), upper.abs()
        with torch.no_grad():
            layer.weight.abs_()
    layer = layer.to(device, kind)
    values = features.to(device, kind).requires_grad_()
    result = layer(SparseTensor(values, x.coordinates.to(device), batch_size=3, backend=backend)).features
    found = torch.autograd.grad(result, [values, layer.weight], upper.to(device, kind))
    return [part.detach().cpu().double() for part in (result, *found)]


@pytest.mark.parametrize(
    "build",
    [lambda: SubmanifoldConv3d(4, 8), lambda: SparseConv3d(4, 8, kernel_size=3, stride=2)],
    ids=["submanifold", "strided"],
)
def test_convolutions_and_gradients_equal_float64_on_the_cpu(device, build):
    """A float32 sum of n products errs by n 2^-24 times the sum of their magnitudes at most; n counts all there could be."""
    exact = convolution_gradients(build, "cpu", torch.float64, None)
    scales = convolution_gradients(build, "cpu", torch.float64, None, magnitudes=True)
    found = convolution_gradients(build, device, torch.float32, "torch_ops")
    for value, reference, scale, terms in zip(found, exact, scales, (27 * 4, 27 * 8, 400), strict=True):
        assert bool(((value - reference).abs() <= (terms + 2) * 2**-24 * scale).all())


def test_pools_and_their_gradients_equal_the_cpu(device):
    for layer in (MaxPool3d(3, stride=2), AveragePool3d(3, stride=2), GlobalMeanPool()):
        results = []
        for place in ("cpu", device):
            x = tensor(place, torch.float64)
            values = x.features.clone().requires_grad_()
            y = layer(x.replace(values))
            y = y.features if isinstance(y, SparseTensor) else y
            y.square().sum().backward()
            results.append((y.detach().cpu(), values.grad.cpu()))
        for one, other in zip(*results, strict=True):
            assert torch.allclose(one, other, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_optimiser_step_gives_the_losses_of_the_cpu(device, name):
    """In float64 no spike sits near enough to a tie to fall to the other side."""
    losses = []
    for place, backend in (("cpu", None), (device, "torch_ops")):
        network = classifier(name, place, torch.float64)
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
        for _ in range(2):
            x = tensor(place, torch.float64, backend)
            loss = nn.functional.cross_entropy(network(x), LABELS.to(place))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
    assert losses[2:] == pytest.approx(losses[:2], rel=1e-7)
    assert losses[0] != losses[1]


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_mixed_precision_trains(device, name, kind):
    network = classifier(name, device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler(device, enabled=kind == torch.float16)
    losses = []
    for _ in range(5):
        with torch.autocast(device, dtype=kind):
            loss = nn.functional.cross_entropy(network(tensor(device)), LABELS.to(device))
        optimiser.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()
        losses.append(float(loss.detach()))
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in network.parameters())


@pytest.mark.parametrize("kind", [None, torch.bfloat16], ids=str)
def test_convolutions_over_maps_that_are_there_do_not_wait(device, kind):
    network = nn.Sequential(
        SubmanifoldConv3d(4, 8),
        SparseConv3d(8, 8, kernel_size=3, stride=2),
        SparseInverseConv3d(8, 4, kernel_size=3, stride=2),
    ).to(device)
    x = tensor(device)
    for repeated in range(2):
        with no_wait(device) if repeated else contextmanager(lambda: iter([None]))():
            with torch.autocast(device, dtype=kind or torch.bfloat16, enabled=kind is not None):
                y = network(x).features
            y.sum().backward()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_whole_step_over_maps_that_are_there_does_not_wait(device, name):
    network, x, labels = classifier(name, device), tensor(device), LABELS.to(device)
    nn.functional.cross_entropy(network(x), labels).backward()
    with no_wait(device):
        nn.functional.cross_entropy(network(x), labels).backward()


@pytest.mark.parametrize("name", NETWORKS)
def test_two_runs_are_bit_equal(device, name):
    runs = []
    for _ in range(2):
        network = classifier(name, device)
        loss = nn.functional.cross_entropy(network(tensor(device)), LABELS.to(device))
        loss.backward()
        runs.append([loss.detach(), *(p.grad for p in network.parameters())])
    assert all(torch.equal(one, other) for one, other in zip(*runs, strict=True))


def test_a_tensor_moves_with_its_maps(device):
    x = tensor("cpu").to(device)
    layer = SparseConv3d(4, 4, kernel_size=2, stride=2)
    expected = layer(tensor("cpu"))
    found = layer.to(device)(x)
    assert found.features.device.type == device
    assert torch.equal(found.coordinates.cpu(), expected.coordinates)
    assert torch.allclose(found.features.cpu(), expected.features, atol=1e-6)
    assert torch.equal(x.empty_samples.cpu(), torch.zeros(3, dtype=torch.bool))
