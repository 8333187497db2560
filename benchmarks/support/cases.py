"""The networks and inputs that engines are compared on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from spikevox.encoding import VoxelBatch, collate
from spikevox.layers import GlobalMeanPool, Linear, SparseTensor
from spikevox.layers.backbones import Encoder, UNet, Voxel8x
from spikevox.tasks import Predictor, load_predictor
from spikevox.tasks.datasets import ModelNet
from support import inputs
from support.firing import Levels, levels, set_rate

WEIGHTS = Path(__file__).resolve().parents[2] / "apps" / "modelnet" / "weights"
SHAPES = 20


class Loaded(NamedTuple):
    """A network in evaluation mode and its input.

    Attributes:
        network: float32.
        call: what of it is run.
        batch: int32 coordinates, float32 features.
        levels: of each neuron on this input.
    """

    network: nn.Module
    call: Callable[[SparseTensor], Any]
    batch: VoxelBatch
    levels: dict[str, Levels]


class Case(NamedTuple):
    """A network, its input and what is asked of it.

    Attributes:
        title: as printed.
        make: network, call and input from the folder of the data.
        trained: keeps its own firing rates.
        single: samples are run one by one; the figure is a sample's.
        over_minkowski: ratio to reach on AVX-512.
        over_spconv: likewise.
    """

    title: str
    make: Callable[[Path], tuple[nn.Module, Callable[[SparseTensor], Any], VoxelBatch]]
    trained: bool = False
    single: bool = False
    over_minkowski: float | None = None
    over_spconv: float | None = None

    def load(self, root: Path, share: float | None) -> Loaded:
        """The network with its input, its neurons set to fire at ``share`` unless it is a trained one.

        ``None`` leaves the network as it was made, for what does not depend on spikes.
        """
        torch.manual_seed(0)
        network, call, batch = self.make(root)
        batch = inputs.as_int32(batch)
        x = SparseTensor(batch.features, batch.coordinates, batch_size=batch.batch_size, backend="compiled")
        if share is None:
            return Loaded(network.eval(), call, batch, {})
        if not self.trained:
            set_rate(network, call, x, share)
        return Loaded(network.eval(), call, batch, levels(network, call, x))


def classifier(root: Path) -> tuple[nn.Module, Callable[[SparseTensor], Any], VoxelBatch]:
    """Encoder T with a head of ten classes, on ModelNet10 shapes."""
    network = nn.Sequential(Encoder("T", in_channels=3), Linear(128, 10), GlobalMeanPool())
    return network, network, inputs.shapes(root, SHAPES)


def detection(root: Path) -> tuple[nn.Module, Callable[[SparseTensor], Any], VoxelBatch]:
    """The backbone of detectors, on a KITTI frame."""
    network = Voxel8x(4, grid=(1408, 1600, 41))
    return network, network, inputs.kitti_frame(root)


def segmentation(root: Path) -> tuple[nn.Module, Callable[[SparseTensor], Any], VoxelBatch]:
    """U-Net with a head of 19 classes, on a SemanticKITTI scan."""
    network = nn.Sequential(UNet(4), Linear(256, 19))
    return network, network, inputs.semantickitti_scan(root)


def shapes_for(predictor: Predictor, root: Path) -> VoxelBatch:
    """Test shapes of all classes of ModelNet10, in the voxels of a trained classifier."""
    data = ModelNet("test", data_root=root / "modelnet10", grid={"voxel_size": 0.05})
    step = len(data) // SHAPES
    return collate([predictor.voxelize(data.read(i)[0]) for i in range(0, step * SHAPES, step)])


def shipped(name: str) -> Callable[[Path], tuple[nn.Module, Callable[[SparseTensor], Any], VoxelBatch]]:
    """A classifier that comes with the project, on the same shapes in its own voxels."""

    def make(root: Path) -> tuple[nn.Module, Callable[[SparseTensor], Any], VoxelBatch]:
        predictor = load_predictor(WEIGHTS / f"{name}.safetensors")
        return predictor.network, predictor.network.logits, shapes_for(predictor, root)

    return make


CASES = {
    "one": Case("classifier T, one shape", classifier, single=True, over_minkowski=4.8, over_spconv=10.0),
    "batch": Case(f"classifier T, {SHAPES} shapes", classifier, over_minkowski=4.5, over_spconv=4.3),
    "detection": Case("detection backbone, KITTI", detection, over_minkowski=5.0, over_spconv=4.3),
    "unet": Case("U-Net, SemanticKITTI", segmentation, over_minkowski=4.8, over_spconv=4.3),
}
for _name in ("classify_t", "classify_t_sparse"):
    if (WEIGHTS / f"{_name}.safetensors").is_file():
        CASES[f"{_name}_one"] = Case(f"{_name}, one shape", shipped(_name), trained=True, single=True)
        CASES[f"{_name}_batch"] = Case(f"{_name}, {SHAPES} shapes", shipped(_name), trained=True)
