"""The networks of E-3DSNN in their published size, each with the scan and the settings that it is trained with."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from spikevox.encoding import VoxelBatch, collate
from spikevox.layers.backbones import BevBackbone, UNet, Voxel8x
from spikevox.tasks.datasets import DetectionDataset, LabelledFrames
from spikevox.tasks.datasets.detection import DetectionBatch, detection_batch
from spikevox.tasks.datasets.semantickitti_label import CLASSES
from spikevox.tasks.detection import KITTI_CAR, AnchorHead, RoiHead, SingleStageDetector, TwoStageDetector
from spikevox.tasks.segmentation import Segmenter
from support.scans import KITTI_FRAME, Scan, kitti, kitti_frames, semantickitti, semantickitti_frames

# Published for SemanticKITTI, in the order of its classes.
CLASS_WEIGHTS = (
    *(3.1557, 8.7029, 7.8281, 6.1354, 6.3161, 7.9937, 8.9704, 10.1922, 1.6155, 4.2187),
    *(1.9385, 5.5455, 2.0198, 2.6261, 1.3212, 5.1102, 2.5492, 5.8585, 7.3929),
)
# Of KITTI's car detector.
SIZE, LOWER, UPPER = (0.05, 0.05, 0.1), (0.0, -40.0, -3.0), (70.4, 40.0, 1.0)


class FullNetwork(NamedTuple):
    """A network and what it learns from.

    Attributes:
        title: what it is.
        loss: what it learns by.
        optimiser: options of AdamW.
        scan: where its scan lies, given the data folder and one to write a generated scan to.
        batch: the scan as a batch, given its folder.
        build: the network, given a backend.
        first: what the first step runs in, given the network.
    """

    title: str
    loss: str
    optimiser: dict[str, float]
    scan: Callable[[Path, Path], Scan]
    batch: Callable[[Path], VoxelBatch | DetectionBatch]
    build: Callable[[str], nn.Module]
    first: Callable[[nn.Module], AbstractContextManager[Any]] = nullcontext


def labelled_voxels(root: Path) -> VoxelBatch:
    """The scan in voxels of 5 cm that carry x, y, z and intensity."""
    data = LabelledFrames(
        semantickitti_frames(root),
        classes=CLASSES,
        indices=[0],
        grid={"voxel_size": 0.05, "origin": "minimum"},
        columns=("x", "y", "z", "intensity"),
        features=("xyz", "intensity"),
    )
    return collate([data[0]])


def boxed_voxels(root: Path) -> DetectionBatch:
    """The scan before the camera in voxels of 5 x 5 x 10 cm, means of their points, with its cars."""
    reader = kitti_frames(root)
    data = DetectionDataset(
        reader,
        classes={"Car": ["Car"]},
        # A generated folder holds one scan.
        indices=[reader.frames.index(KITTI_FRAME) if KITTI_FRAME in reader.frames else 0],
        grid={"voxel_size": SIZE, "lower": LOWER, "upper": UPPER},
        columns=("x", "y", "z", "intensity"),
        features=("xyz", "intensity"),
        reduce="mean",
    )
    return detection_batch([data.cloud(0)])


def _unet(backend: str) -> nn.Module:
    return Segmenter(UNet(4), len(CLASSES), class_weights=CLASS_WEIGHTS, backend=backend)


def _parts() -> tuple[nn.Module, nn.Module, nn.Module]:
    return Voxel8x(4, grid=(1408, 1600, 41)), BevBackbone(256), AnchorHead(256, [KITTI_CAR], (0, -40, 70.4, 40))


def _single_stage(backend: str) -> nn.Module:
    return SingleStageDetector(*_parts(), backend=backend)


def _two_stage(backend: str) -> nn.Module:
    return TwoStageDetector(*_parts(), RoiHead((32, 64, 64), SIZE, LOWER), backend=backend)


@contextmanager
def _all_anchors(network: Any) -> Iterator[None]:
    """Makes all anchors proposals: of the few that a fresh network takes for cars, none may lie on one and be mended."""
    usual = network.training_proposals
    network.training_proposals = usual._replace(overlap=1.0, candidates=1_000_000, most=1_000_000)
    try:
        yield
    finally:
        network.training_proposals = usual


def _detector(title: str, loss: str, build: Callable[[str], Any], **options: Any) -> FullNetwork:
    return FullNetwork(title, loss, {"lr": 1e-3, "weight_decay": 1e-2}, kitti, boxed_voxels, build, **options)


NETWORKS = {
    "unet": FullNetwork(
        "segmentation U-Net",
        "weighted cross-entropy",
        {"lr": 2e-3, "weight_decay": 5e-3},
        semantickitti,
        labelled_voxels,
        _unet,
    ),
    "single_stage": _detector("detector of one stage", "focal, smooth-L1 and direction losses", _single_stage),
    "two_stage": _detector("detector of two stages", "the losses of both stages", _two_stage, first=_all_anchors),
}
