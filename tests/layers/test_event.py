"""Event-driven inference equals the network: in float64, on integers exactly, for any threads, rows and instruction set."""

import copy
import gc
import threading

import numpy as np
import pytest
import torch
from torch import nn

from layers.networks import Recogniser, firing
from spikevox.layers import (
    ILIF,
    PSN,
    AdaptiveLIF,
    AveragePool3d,
    BackendError,
    BatchNorm,
    GlobalMaxPool,
    GlobalSumPool,
    GraphError,
    LayerError,
    Linear,
    MaxPool3d,
    Neuron,
    ReLU,
    SparseConv3d,
    SparseInverseConv3d,
    SparseTensor,
    SparseTensorError,
    SubmanifoldConv3d,
    ThresholdDependentBatchNorm,
    concatenate,
    event,
    native,
)
from spikevox.layers.backbones import Encoder, UNet, Voxel8x
from spikevox.layers.pool import GlobalPool
from spikevox.layers.sparse_tensor import features_of

pytestmark = pytest.mark.compiled
THERE = [
    name
    for level, name in enumerate(native.SIMD_LEVELS)
    if native.available() and native.library().spikevox_simd_name(level)
]


@pytest.fixture(params=THERE)
def simd(request, monkeypatch):
    monkeypatch.setenv("SPIKEVOX_SIMD", request.param)
    return request.param


def cloud(channels=3, count=900, extent=13, samples=3, batch_size=4, dtype=torch.float64, seed=0):
    """Sites in ascending order; the last sample is empty."""
    generator = np.random.default_rng(seed)
    rows = np.unique(generator.integers(0, [samples, extent, extent, extent], (count, 4)) - [0, 4, 4, 4], axis=0)
    features = torch.from_numpy(generator.normal(size=(len(rows), channels))).to(dtype)
    return SparseTensor(features, torch.from_numpy(rows), batch_size=batch_size, backend="torch_ops")


class Everything(nn.Module):
    """What a user's own class may do: sums, channels side by side, branches, any kernel, pools, other neurons."""

    def __init__(self):
        super().__init__()
        self.entry = SubmanifoldConv3d(3, 24, kernel_size=(3, 1, 5), bias=True)
        self.norm = ThresholdDependentBatchNorm(24, threshold=0.7)
        self.spike, self.relu, self.step = ILIF(3), ReLU(), AdaptiveLIF(threshold=0.4)
        self.wide = SubmanifoldConv3d(24, 24, kernel_size=2, dilation=2)
        self.grouped, self.middle = SubmanifoldConv3d(24, 24, groups=3), BatchNorm(24)
        self.down = SparseConv3d(48, 19, kernel_size=3, stride=(2, 2, 1), bias=True)
        self.after = BatchNorm(19)
        self.deeper = SparseConv3d(19, 8, kernel_size=2, stride=2, sites="stride")
        self.up = SparseInverseConv3d(19, 24, kernel_size=3, stride=(2, 2, 1))
        self.largest, self.mean = MaxPool3d(2), AveragePool3d(3, stride=2)
        self.total, self.most = GlobalSumPool(), GlobalMaxPool()
        self.fuse = Linear(24 + 24 + 24, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        a = self.norm(self.entry(x))
        spikes = self.spike(a)
        b = self.middle(self.wide(spikes) + self.grouped(self.relu(a)))
        joined = concatenate(self.spike(b), self.step(a))
        coarse = self.after(self.down(joined) + self.down(joined))
        back = self.up(self.relu(coarse)) + a + spikes
        fused = self.fuse(self.step(concatenate(a, b, back)))
        pooled = self.head(self.most(fused))
        real = self.total(self.fuse(concatenate(a, b, b)))
        fired_pool = self.head(self.spike(real))
        return {
            "pooled": (pooled, fired_pool, self.largest(coarse), self.mean(self.spike(coarse))),
            "sparse": [self.deeper(coarse), back, fused, concatenate(self.spike(a), b), spikes],
            "input": self.spike(x),
        }


NETWORKS = {
    "encoder": lambda: Recogniser(Encoder("T", 3)),
    "wide": lambda: Encoder("S", 3, width=0.5),
    "u-net": lambda: nn.Sequential(UNet(3, size="small"), Linear(64, 19)),
    "detection backbone": lambda: Voxel8x(3, size="small", grid=(9, 9, 33)),
    "rectified": lambda: Recogniser(Encoder("T", 3, neuron="relu")),
    "a user's own": Everything,
}


def tensors(result):
    """All tensors of a result, with the coordinates of those that have some."""
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, list | tuple):
        return [found for part in result for found in tensors(part)]
    return [(result.features, result.coordinates) if isinstance(result, SparseTensor) else (result, None)]


@pytest.mark.parametrize("name", NETWORKS)
def test_equals_the_network_in_float64(simd, name):
    x = cloud()
    network = firing(NETWORKS[name]().double(), x)
    rates = []
    hooks = [
        module.register_forward_hook(lambda _, __, y: rates.append((features_of(y) != 0).double().mean().item()))
        for module in network.modules()
        if isinstance(module, Neuron)
    ]
    with torch.inference_mode():
        expected = tensors(network(x))
    for hook in hooks:
        hook.remove()
    # Silence must not pass for equality.
    assert all(0.05 <= rate <= 0.75 for rate in rates), rates
    found = tensors(event.compile(network)(x).output)
    assert len(found) == len(expected)
    for (values, sites), (wanted, wanted_sites) in zip(found, expected, strict=True):
        torch.testing.assert_close(values, wanted, rtol=1e-10, atol=1e-10)
        assert wanted.abs().max() > 0
        assert (sites is None) == (wanted_sites is None)
        assert sites is None or torch.equal(sites, wanted_sites)


def integers(dtype=torch.float32, seed=0):
    """Whole weights and features: sums are exact in any order."""
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential(
        SubmanifoldConv3d(3, 19), ILIF(200), SubmanifoldConv3d(19, 40, kernel_size=3), ILIF(255),
        SparseConv3d(40, 96, kernel_size=3, stride=2), ILIF(4), SparseInverseConv3d(96, 33, kernel_size=3, stride=2),
        ReLU(), Linear(33, 130),
    )  # fmt: skip
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randint(-2, 3, parameter.shape, generator=generator))
    x = cloud(seed=seed, dtype=dtype)
    return network.to(dtype).eval(), x.replace((3 * x.features).round())


def test_whole_weights_are_exact_on_every_instruction_set(simd):
    network, x = integers()
    with torch.inference_mode():
        expected = network(x).features
    assert expected.abs().max() < 2**24
    assert torch.equal(event.compile(network)(x).output.features, expected)


def test_threads_and_row_order_change_no_bit(simd):
    x = cloud(dtype=torch.float32, count=4000, extent=24)
    network = firing(Encoder("T", 3), x)
    unet = firing(UNet(3, size="small"), x)
    for engine in (event.compile(network), event.compile(unet)):
        results = []
        for threads in (1, 2, 3, 5):
            torch.set_num_threads(threads)
            results.append(engine(x))
        torch.set_num_threads(1)
        assert all(torch.equal(r.output.features, results[0].output.features) for r in results)
        assert all(r.work == results[0].work for r in results)
    order = torch.randperm(len(x))
    coordinates, features = x.coordinates[order].contiguous(), x.features[order].contiguous()
    output, rows = engine.run(coordinates, features, x.batch_size).output
    assert torch.equal(rows, coordinates)
    assert torch.equal(output, results[0].output.features[order])


def test_instruction_sets_agree_within_rounding(monkeypatch):
    # One spiking layer: of a whole network a neuron at a tie may fire or not.
    x = cloud(channels=64, dtype=torch.float32)
    layer = firing(nn.Sequential(ILIF(), SubmanifoldConv3d(64, 48), BatchNorm(48)), x)
    results = []
    for name in THERE:
        monkeypatch.setenv("SPIKEVOX_SIMD", name)
        results.append(event.compile(layer)(x).output.features)
    for other in results[1:]:
        assert (other - results[0]).abs().max() <= 1e-6 * results[0].abs().max()


def test_work_counts_the_events_that_meet_a_weight():
    x = cloud()
    network = firing(nn.Sequential(SubmanifoldConv3d(3, 8), BatchNorm(8), ILIF(), SubmanifoldConv3d(8, 5)).double(), x)
    with torch.no_grad():
        spikes = network[:3](x)
    _, inputs, _ = x.maps.pairs(x.sites, x.sites, network[0].geometry)
    events = (spikes.features != 0).sum(dim=1)
    result = event.compile(network)(x)
    assert [layer.name for layer in result.work] == ["0 (SubmanifoldConv3d)", "3 (SubmanifoldConv3d)"]
    assert [layer.additions for layer in result.work] == [len(inputs) * 3 * 8, int(events[inputs].sum()) * 5]
    assert result.additions == sum(layer.additions for layer in result.work)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_sites(count):
    network = firing(Recogniser(Encoder("T", 3)).double(), cloud())
    rows = torch.tensor([[1, -5, 7, 0], [2, 9, 9, 9]], dtype=torch.int32)[:count]
    x = SparseTensor(torch.randn(count, 3).double(), rows, batch_size=4, backend="torch_ops")
    with torch.inference_mode():
        expected = network(x)
    assert torch.allclose(event.compile(network)(x).output, expected, atol=1e-12)
    assert expected.shape == (4, 10)


@pytest.mark.parametrize("stride", [2, 3, (2, 4, 1)])
def test_an_example_gives_another_tensor_stride(stride):
    base = cloud()
    scale = torch.tensor([1, *([stride] * 3 if isinstance(stride, int) else stride)])
    x = SparseTensor(base.features, base.coordinates * scale, batch_size=4, tensor_stride=stride, backend="torch_ops")
    network = firing(Voxel8x(3, size="small").double(), x)
    with torch.inference_mode():
        expected = network(x).spikes
    engine = event.compile(network, example=x)
    found = engine(x).output.spikes
    assert torch.allclose(found.features, expected.features)
    assert torch.equal(found.coordinates, expected.coordinates)
    with pytest.raises(SparseTensorError, match="at tensor stride"):
        engine(base)
    rounded = firing(Encoder("T", 3).double(), x)
    with torch.inference_mode():
        expected = rounded(x)
    found = event.compile(rounded, example=x)(x).output
    assert torch.allclose(found.features, expected.features)
    assert torch.equal(found.coordinates, expected.coordinates)


class Leaky(Neuron):
    def step(self, x, state):
        return x, ()


class LeakyPool(GlobalPool):
    def _reduce(self, values, rows, count):
        return values[:count]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Leaky(), r"^1 \(Leaky\): the event engine does not know this neuron"),
        (PSN(4), "^PSN was built for time_steps=4"),
        (ILIF(stateful=True), r"^1 \(ILIF\): the event engine runs one time step from rest"),
        (LeakyPool(), r"^1 \(LeakyPool\): the event engine cannot run this pooling"),
        (nn.Sequential(ILIF(), ILIF()), r"^1\.0 \(ILIF\): the event engine takes one neuron after another only"),
    ],
)
def test_a_layer_that_the_engine_lacks_is_named(layer, message):
    with pytest.raises((GraphError, LayerError), match=message):
        event.compile(nn.Sequential(SubmanifoldConv3d(2, 2), layer))


def test_other_input_than_it_was_compiled_for_is_refused():
    x = cloud(dtype=torch.float32)
    engine = event.compile(firing(Encoder("T", 3), x))
    with pytest.raises(SparseTensorError, match=r"compiled for 3 channels, torch\.float32.*4 channels"):
        engine(cloud(channels=4, dtype=torch.float32))
    with pytest.raises(SparseTensorError, match=r"got SparseTensor\(.*float64"):
        engine(cloud())
    steps = SparseTensor(x.features.expand(2, *x.features.shape), x.coordinates, time_steps=2, backend="torch_ops")
    with pytest.raises(SparseTensorError, match="without a time axis"):
        engine(steps)
    coordinates, features = x.coordinates.contiguous(), x.features.contiguous()
    with pytest.raises(SparseTensorError, match=r"expected coordinates \(N, 4\) and features \(N, 3\)"):
        engine.run(coordinates, features[:-1], 4)
    with pytest.raises(TypeError, match=r"coordinates must be a contiguous torch\.int32"):
        engine.run(coordinates.long(), features, 4)
    with pytest.raises(TypeError, match=r"features must be a contiguous torch\.float32"):
        engine.run(coordinates, features.double(), 4)
    with pytest.raises(TypeError, match="features must be a contiguous"):
        engine.run(coordinates, features.T.contiguous().T, 4)
    with pytest.raises(BackendError, match="a sample index lies outside the batch"):
        engine.run(coordinates, features, 2)
    twice = coordinates.clone()
    twice[7] = twice[3]
    with pytest.raises(BackendError, match="rows 3 and 7 have the same coordinates"):
        engine.run(twice, features, 4)
    for wrong in (float("nan"), float("inf")):
        broken = features.clone()
        broken[5, 1] = wrong
        with pytest.raises(BackendError, match="the features of row 5 are not finite"):
            engine.run(coordinates, broken, 4)
    far = coordinates.clone()
    far[0, 1:] = -(2**31) + 1
    far[-1, 1:] = 2**31 - 1
    with pytest.raises(OverflowError, match="Remove far outliers"):
        engine.run(far, features, 4)
    # What was refused leaves nothing behind.
    assert torch.equal(engine(x).output.features, engine.run(coordinates, features, 4).output[0])


def test_networks_that_cannot_be_compiled_say_why(monkeypatch, tmp_path):
    mixed = nn.Sequential(SubmanifoldConv3d(2, 2), Linear(2, 2).double())
    with pytest.raises(BackendError, match="float32 or float64 throughout"):
        event.compile(mixed)
    broken = nn.Sequential(SubmanifoldConv3d(2, 2))
    with torch.no_grad():
        broken[0].weight[0, 0, 0] = float("nan")
    with pytest.raises(GraphError, match=r"0 \(SubmanifoldConv3d\): its weights are not finite"):
        event.compile(broken)
    engine = event.compile(nn.Sequential(SubmanifoldConv3d(2, 2)))
    with pytest.raises(TypeError, match="store the network and compile it again"):
        copy.deepcopy(engine)
    monkeypatch.setattr(native, "_LIBRARY", tmp_path / "_native.so")
    with pytest.raises(BackendError, match="event-driven inference needs the compiled library, and it was not built"):
        event.compile(nn.Sequential(SubmanifoldConv3d(2, 2)))


def test_a_session_belongs_to_its_network():
    x = cloud(dtype=torch.float32)
    coordinates, features = x.coordinates.contiguous(), x.features.contiguous()
    one, other = event.compile(Encoder("T", 3)), event.compile(UNet(3, size="small"))
    session = one._network.prepare(coordinates, 4)
    with pytest.raises(BackendError, match="the session belongs to another network"):
        other._network.execute(session, features)


def test_weights_are_those_of_the_time_of_compilation():
    x = cloud(dtype=torch.float32)
    network = firing(Encoder("T", 3), x)
    engine = event.compile(network)
    before = engine(x).output.features
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    del network
    gc.collect()
    assert torch.equal(engine(x).output.features, before)


def test_results_outlive_the_engine_and_each_other():
    x, y = cloud(dtype=torch.float32), cloud(dtype=torch.float32, seed=5)
    engine = event.compile(firing(UNet(3, size="small"), x))
    first = engine(x).output.features
    kept = first.clone()
    engine(y)
    del engine
    gc.collect()
    assert torch.equal(first, kept)


def test_threads_of_python_at_once_are_right():
    engines = [event.compile(firing(NETWORKS[name](), cloud(dtype=torch.float32))) for name in ("encoder", "u-net")]
    inputs = [cloud(dtype=torch.float32, seed=seed) for seed in range(4)]
    jobs = [(engine, x, tensors(engine(x).output)[0][0]) for engine in engines for x in inputs]
    wrong = []

    def work(job):
        engine, x, expected = job
        for _ in range(10):
            if not torch.equal(tensors(engine(x).output)[0][0], expected):
                wrong.append(job)

    threads = [threading.Thread(target=work, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
