"""What is between layers: sums are counted, moves are free, all else is an error that names the module."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from spikevox.layers import (
    ILIF,
    BatchNorm,
    GlobalMeanPool,
    Linear,
    SparseConv3d,
    SparseTensor,
    SubmanifoldConv3d,
    union,
)
from spikevox.layers.backbones import Encoder
from spikevox.layers.energy import OperationCounts, count_operations, register_counter, uncounted
from spikevox.layers.energy.counter import _COUNTERS
from spikevox.layers.errors import EnergyError


def cloud(channels=2, samples=1):
    sites = torch.cartesian_prod(torch.arange(samples), torch.arange(3), torch.arange(3), torch.arange(2))
    return SparseTensor(torch.randn(len(sites), channels), sites, batch_size=samples)


class Own(nn.Module):
    """A user's own class around a convolution."""

    def __init__(self, work):
        super().__init__()
        self.conv = SubmanifoldConv3d(2, 2)
        self.weights = nn.Linear(2, 2)
        self.work = work

    def forward(self, x):
        return self.work(self, self.conv(x))


def outer(work):
    network = nn.Module()
    network.inner = Own(work)
    network.forward = lambda x: network.inner(x)
    return network


@pytest.mark.parametrize(
    ("work", "operation"),
    [
        (lambda m, x: x.replace(torch.tanh(x.features)), "tanh"),
        (lambda m, x: x.replace(functional.linear(x.features, m.weights.weight, m.weights.bias)), "addmm"),
        (lambda m, x: x.replace(functional.linear(x.features, m.weights.weight)), "mm"),
        (lambda m, x: x.replace(2 * x.features), "mul"),
        (lambda m, x: x.replace(functional.relu(x.features)), "relu"),
        (lambda m, x: x.replace((x.features > 0.5).float()), "gt"),
        (lambda m, x: x.replace(x.features.clamp(0, 4).round()), "clamp"),
        (lambda m, x: x.replace(torch.add(x.features, x.features, alpha=2)), "add"),
        (lambda m, x: x.replace(functional.batch_norm(x.features, torch.zeros(2), torch.ones(2))), "native_batch_norm"),
        (lambda m, x: functional.conv1d(x.features.T[None], torch.ones(1, 2, 1)), "convolution"),
        (lambda m, x: x.replace(torch.softmax(x.features, dim=1)), "_softmax"),
        (lambda m, x: x.replace(torch.einsum("nc,cd->nd", x.features, m.weights.weight)), "bmm"),
        (lambda m, x: [x, x.replace(x.features)][int(x.features.sum() > 0)], "gt"),
        (lambda m, x: x.replace(torch.empty_like(x.features).copy_(x.features).mul_(3)), "mul_"),
    ],
)
def test_arithmetic_outside_of_counted_modules_is_an_error_that_names_the_module(work, operation):
    network = outer(work)
    with pytest.raises(EnergyError, match=rf"^inner \(Own\): its forward pass does arithmetic.*torch's {operation}\)"):
        count_operations(network, cloud())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_what_leaves_torch_is_found_by_its_result():
    network = outer(lambda m, x: x.replace(torch.from_numpy(2 * x.features.numpy())))
    with pytest.raises(EnergyError, match=r"^inner \(Own\): its output does not come from layers that are counted"):
        count_operations(network, cloud())


@pytest.mark.parametrize(
    "work",
    [
        lambda m, x: x.replace(x.features[:, [1, 0]].clone().view(-1, 2)),
        lambda m, x: x.dense().permute(0, 2, 3, 4, 1).flatten(0, 3),
        lambda m, x: x.replace(functional.dropout(x.features, 0.5, training=False)),
        lambda m, x: SparseTensor(x.features, x.coordinates),
        lambda m, x: torch.where(torch.ones_like(x.features, dtype=torch.bool), x.features, 0.0),
    ],
)
def test_moving_values_costs_nothing(work):
    counts = count_operations(outer(work), cloud())
    assert [layer.kind for layer in counts.layers] == ["convolution"]


def test_sums_between_layers_are_counted_where_they_stand():
    x = cloud()
    moved = torch.tensor([0, 1, 0, 0])

    def work(module, y):
        return union(y, SparseTensor(torch.ones(4, 2), y.coordinates[-4:] + moved)).features.mean(dim=0)

    counts = count_operations(outer(work), x)
    # All four lie beside the sites that are there, so that nothing is summed; without the move they lie on them.
    assert [(layer.additions, layer.multiplications) for layer in counts.layers[1:]] == [(44, 2)]
    moved[1] = 0
    counts = count_operations(outer(work), x)
    assert [(layer.name, layer.additions, layer.multiplications) for layer in counts.layers[1:]] == [
        ("inner (Own)", 44, 0),
        ("inner (Own)", 36, 2),
    ]


def test_a_sum_that_is_used_counts_even_if_it_is_one_number():
    counts = count_operations(outer(lambda m, x: x.replace(x.features + x.features.sum())), cloud())
    assert [layer.additions for layer in counts.layers[1:]] == [36, 36]


def test_arithmetic_on_coordinates_stands_apart():
    def work(module, x):
        place = x.coordinates[:, 1:3].float() * 0.5
        return x.replace(module.weights(place) + x.features)

    counts = count_operations(outer(work), cloud())
    assert counts.apart == (("inner (Own)", "mul", 36),)
    assert [layer.reads for layer in counts.layers] == ["reals", "reals", ""]


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Parameter(torch.ones(2))

    def forward(self, x):
        return x.replace(x.features * self.gate)


def test_a_module_with_parameters_of_its_own_needs_a_counter():
    network = nn.Sequential(SubmanifoldConv3d(2, 2), Gate())
    with pytest.raises(EnergyError, match=r"^1 \(Gate\) has parameters of its own \(gate\) and no counter.*\(Gate\)"):
        count_operations(network, cloud())


def test_a_counter_of_ones_own_counts_its_module_and_those_derived_from_it():
    class Sharper(Gate):
        pass

    try:

        @register_counter(Gate)
        def gate(call):
            return call.other("gate", multiplications=call.result.numel(), weights=2)

        counts = count_operations(nn.Sequential(SubmanifoldConv3d(2, 2), Gate(), Sharper()), cloud())
    finally:
        del _COUNTERS[Gate]
    assert [(layer.kind, layer.multiplications) for layer in counts.layers[1:]] == [("gate", 36), ("gate", 36)]


def test_spikes_of_somebody_elses_neuron_are_spikes():
    class Steps(nn.Module):
        def forward(self, x):
            return x.replace((x.features > 0).to(x.features.dtype))

    network = nn.Sequential(SubmanifoldConv3d(2, 3), Steps(), SubmanifoldConv3d(3, 4))
    with pytest.raises(EnergyError, match=r"^1 \(Steps\).*torch's gt"):
        count_operations(network, cloud())
    try:
        register_counter(Steps)(lambda call: call.neuron(1))
        counts = count_operations(network, cloud())
    finally:
        del _COUNTERS[Steps]
    last = counts.layers[-1]
    assert (last.reads, last.depth) == ("spikes", 1)
    assert last.acs == last.event_macs > 0


def test_a_neuron_that_emits_more_than_its_counter_says_is_told():
    class Twice(ILIF):
        def run(self, x, state):
            return torch.full_like(x, 2.0), ()

    with pytest.raises(EnergyError, match=r"^0 emitted 2 spikes at once; its counter says 1 at most"):
        count_operations(nn.Sequential(Twice(1)), cloud())


def test_whole_numbers_that_no_neuron_made_are_real():
    x = cloud()
    counts = count_operations(SubmanifoldConv3d(2, 2), x.replace(torch.ones_like(x.features)))
    assert counts.layers[0].reads == "reals"
    assert counts.layers[0].acs == 0


def test_what_is_left_out_is_named():
    @uncounted("a picture")
    def draw(x):
        return torch.exp(x.features)

    def work(module, x):
        draw(x)
        with uncounted("a number"):
            float(x.features.exp().sum())
        return x

    counts = count_operations(outer(work), cloud())
    assert counts.uncounted == ("a picture", "a number")


def test_counting_leaves_the_network_as_it_was():
    network = Encoder("T", 2)
    network.stem.eval()
    modes = [module.training for module in network.modules()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    count_operations(network, cloud())
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_counts_of_samples_add_up_to_those_of_their_batch():
    torch.manual_seed(1)
    network = nn.Sequential(SubmanifoldConv3d(2, 8), BatchNorm(8), ILIF(), SparseConv3d(8, 4, kernel_size=3, stride=2),
                            BatchNorm(4), ILIF(), Linear(4, 3), GlobalMeanPool())  # fmt: skip
    with torch.no_grad():
        network[3].weight.mul_(10)
        network[0].weight.mul_(50)
    x = cloud(samples=3)
    parts = []
    for sample in range(3):
        rows = x.batch_index == sample
        sites = x.coordinates[rows] * torch.tensor([0, 1, 1, 1])
        parts.append(count_operations(network, SparseTensor(x.features[rows], sites, batch_size=1)))
    whole = count_operations(network, x)
    assert whole.samples == 3
    assert sum(parts[1:], parts[0]) == whole
    assert whole.total("acs") > 0


def test_counts_of_unlike_layers_are_not_added():
    one = count_operations(SubmanifoldConv3d(2, 2), cloud())
    other = count_operations(SubmanifoldConv3d(2, 3), cloud())
    with pytest.raises(EnergyError, match="differ in out_channels, weights"):
        one + other
    with pytest.raises(EnergyError, match="1 and 0 layers"):
        one + OperationCounts(())


def test_dense_layers_count_what_lies_inside_of_the_border():
    torch.manual_seed(0)
    for kind in (nn.Conv2d, nn.ConvTranspose2d):
        layer = kind(4, 6, 3, stride=2, padding=1, groups=2, bias=False)
        spikes = ILIF(3)
        x = 3 * torch.randn(2, 4, 5, 7)
        counts = count_operations(nn.Sequential(spikes, layer), x).layers[1]
        fired = spikes(x)
        # A kernel of ones adds up what each output reads: of values, of those that are not 0, of ones.
        with torch.no_grad():
            layer.weight.fill_(1.0)
            assert counts.acs == int(layer(fired).sum())
            assert counts.event_macs == int(layer((fired > 0).float()).sum())
            assert counts.macs == int(layer(torch.ones_like(fired)).sum())
        assert counts.acs > counts.event_macs > 0
