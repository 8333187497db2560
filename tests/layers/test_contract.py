"""Every public layer passes the contract, on both backends; layers that break a part of it are told so."""

import pytest
import torch
from torch import nn

from spikevox.layers import (
    IF,
    ILIF,
    LIF,
    PLIF,
    PSN,
    AdaptiveLIF,
    AveragePool3d,
    BasicBlock,
    BatchNorm,
    Down,
    GlobalMaxPool,
    GlobalMeanPool,
    GlobalSumPool,
    LayerContractError,
    Linear,
    MaxPool3d,
    ReLU,
    ResidualBlock,
    SparseConv3d,
    SparseInverseConv3d,
    SparseTensor,
    SpikeVoxelStem,
    SubmanifoldConv3d,
    ThresholdDependentBatchNorm,
    Up,
    check_layer,
)
from spikevox.layers.backbones import Encoder


class DownUp(nn.Module):
    """The two layers of a U-Net that take a partner's sites."""

    def __init__(self):
        super().__init__()
        self.down, self.up = Down(4, 6), Up(6, 4, 5)

    def forward(self, x):
        return self.up(self.down(x), x)


LAYERS = [
    SubmanifoldConv3d(4, 5, bias=True),
    SubmanifoldConv3d(4, 4, kernel_size=2, groups=2),
    SparseConv3d(4, 5, kernel_size=2, stride=2),
    SparseConv3d(4, 5, kernel_size=3, stride=2, bias=True),
    Linear(4, 5),
    BatchNorm(4),
    ThresholdDependentBatchNorm(4),
    MaxPool3d(2),
    AveragePool3d(3, stride=2),
    GlobalMeanPool(),
    GlobalMaxPool(),
    GlobalSumPool(),
    ILIF(),
    ILIF(stateful=True),
    IF(time_steps=4),
    LIF(time_steps=4),
    LIF(stateful=True, surrogate="sigmoid"),
    PLIF(time_steps=4, surrogate="arctan"),
    AdaptiveLIF(time_steps=4),
    PSN(4),
    ReLU(),
    BasicBlock(4),
    ResidualBlock(4),
    ResidualBlock(4, bias=True),
    Down(4, 6),
    nn.Sequential(SparseConv3d(4, 5, kernel_size=2, stride=2), SparseInverseConv3d(5, 4, kernel_size=2, stride=2)),
    DownUp(),
    ILIF(time_steps=2),
    AdaptiveLIF(stateful=True, carry="match"),
    SpikeVoxelStem(4, 6),
    Encoder("T", in_channels=4, width=0.25),
    nn.Sequential(SubmanifoldConv3d(4, 6), BatchNorm(6), LIF(), GlobalMeanPool()),
]


@pytest.mark.parametrize("backend", ["minkowski", "torch_ops", "compiled"])
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{type(layer).__name__}")
def test_layer_contract(layer, backend):
    check_layer(layer, channels=4, backend=backend)


class Broken(nn.Module):
    """Breaks one part of the contract."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault
        self.weight = nn.Parameter(torch.ones(4))

    def forward(self, x):
        values = x.features * self.weight
        if self.fault == "batch":
            return values.new_zeros(max(1, len(torch.unique(x.batch_index))), 4) + values.sum()
        if self.fault == "order":
            return x.replace(values * torch.argsort(x.input_rows)[:, None])
        if self.fault == "gradient":
            return x.replace(x.features * 1.0)
        if self.fault == "mixing":
            return x.replace(values + values.sum())
        if self.fault == "nan":
            return x.replace(values / 0)
        if self.fault == "type":
            return x.replace(values.float())
        return [values]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("batch", "Broken, no sites: batch size 3 became 1"),
        ("order", "Broken, order of rows: features depend on the order of rows"),
        ("gradient", "Broken, gradients: weight has no finite gradient"),
        ("mixing", "Broken, samples: a sample depends on the others of its batch"),
        ("nan", "Broken, one site: values are not finite"),
        ("type", r"Broken, types: features of torch\.float64 become torch\.float32"),
        ("list", "Broken, no sites: the result must be a SparseTensor or a tensor, got list"),
    ],
)
def test_a_layer_that_breaks_the_contract_is_told_how(fault, message):
    with pytest.raises(LayerContractError, match=message):
        check_layer(Broken(fault))


def test_plain_and_sparse_inputs_of_a_neuron_agree():
    values = torch.randn(5, 3)
    x = SparseTensor(values, torch.tensor([[0, i, 0, 0] for i in range(5)]))
    assert torch.equal(ILIF()(x).features, ILIF()(values))
