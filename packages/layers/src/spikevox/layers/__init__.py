"""Sparse spiking layers and backbones for 3D recognition."""

from typing import TYPE_CHECKING

from spikevox.encoding.lazy import lazy_exports

if TYPE_CHECKING:
    from spikevox.layers.backends import use_backend
    from spikevox.layers.blocks import BasicBlock, Down, Parts, ResidualBlock, Up
    from spikevox.layers.conv import SparseConv3d, SparseInverseConv3d, SubmanifoldConv3d
    from spikevox.layers.coordinates import CoordinateMaps, Sites
    from spikevox.layers.doctor import Finding, diagnose
    from spikevox.layers.errors import BackendError, GraphError, LayerError, NeuronStateError, SparseTensorError
    from spikevox.layers.joining import concatenate, union
    from spikevox.layers.linear import Linear
    from spikevox.layers.monitor import Firing, FiringMonitor, HealthFinding, HealthMonitor, LayerActivity, Thresholds
    from spikevox.layers.neurons import (
        IF,
        ILIF,
        LIF,
        NEURONS,
        PLIF,
        PSN,
        AdaptiveLIF,
        Neuron,
        ReLU,
        build_neuron,
        detach_states,
        integer_spike,
        reset_states,
    )
    from spikevox.layers.norm import BatchNorm, ThresholdDependentBatchNorm, fold_batch_norm
    from spikevox.layers.pool import AveragePool3d, GlobalMaxPool, GlobalMeanPool, GlobalSumPool, MaxPool3d
    from spikevox.layers.rate_loss import SpikeRateLoss
    from spikevox.layers.sparse_tensor import SparseTensor
    from spikevox.layers.spiking_unit import SpikingSequential, spiking_conv
    from spikevox.layers.stem import SpikeVoxelStem
    from spikevox.layers.testing import LayerContractError, check_layer

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "backends": ("use_backend",),
        "blocks": ("BasicBlock", "Down", "Parts", "ResidualBlock", "Up"),
        "conv": ("SparseConv3d", "SparseInverseConv3d", "SubmanifoldConv3d"),
        "coordinates": ("CoordinateMaps", "Sites"),
        "doctor": ("Finding", "diagnose"),
        "errors": ("BackendError", "GraphError", "LayerError", "NeuronStateError", "SparseTensorError"),
        "linear": ("Linear",),
        "monitor": ("Firing", "FiringMonitor", "HealthFinding", "HealthMonitor", "LayerActivity", "Thresholds"),
        "neurons": (
            "IF",
            "ILIF",
            "LIF",
            "NEURONS",
            "PLIF",
            "PSN",
            "AdaptiveLIF",
            "Neuron",
            "ReLU",
            "build_neuron",
            "detach_states",
            "integer_spike",
            "reset_states",
        ),
        "norm": ("BatchNorm", "ThresholdDependentBatchNorm", "fold_batch_norm"),
        "pool": ("AveragePool3d", "GlobalMaxPool", "GlobalMeanPool", "GlobalSumPool", "MaxPool3d"),
        "rate_loss": ("SpikeRateLoss",),
        "sparse_tensor": ("SparseTensor",),
        "spiking_unit": ("SpikingSequential", "spiking_conv"),
        "stem": ("SpikeVoxelStem",),
        "testing": ("LayerContractError", "check_layer"),
        "joining": ("concatenate", "union"),
    },
    distribution="spikevox-layers",
)
