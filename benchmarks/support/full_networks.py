"""The networks of E-3DSNN in their published size, each with the scan and the settings that it is trained with."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from math import cos, radians, sin
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from spikevox.encoding import VoxelBatch, collate
from spikevox.layers.backbones import BevBackbone, UNet, Voxel8x, VoxelNeXtBackbone
from spikevox.tasks.datasets import DetectionDataset, LabelledFrames
from spikevox.tasks.datasets.detection import DetectionBatch, detection_batch
from spikevox.tasks.datasets.nuscenes_label import DETECTION_CLASS, DETECTION_NAMES
from spikevox.tasks.datasets.semantickitti_label import CLASSES
from spikevox.tasks.detection import (
    KITTI_CAR,
    NUSCENES_GROUPS,
    AnchorHead,
    CentreHead,
    RoiHead,
    SingleStageDetector,
    TwoStageDetector,
    VoxelNeXt,
)
from spikevox.tasks.segmentation import Segmenter
from spikevox.tasks.transforms import Motion, ScaleColumns
from support.scans import (
    KITTI_FRAME,
    Scan,
    kitti,
    kitti_frames,
    nuscenes,
    nuscenes_frames,
    semantickitti,
    semantickitti_frames,
)

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


class Turn(Motion):
    """By 35 degrees, as a training may turn it: the far corners of the sweep come into the range, and with them a bicycle."""

    def draw(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """The same each time."""
        motion, angle = np.eye(4), radians(-35)
        motion[:2, :2] = [[cos(angle), -sin(angle)], [sin(angle), cos(angle)]]
        return motion


def swept_voxels(root: Path) -> DetectionBatch:
    """The sweep in voxels of 7.5 x 7.5 x 20 cm, means of their points, with objects of ten classes.

    The fifth feature, how much older a point is than the sweep, is 0: there is one sweep.
    """
    categories = {name: [name] for name in DETECTION_NAMES}
    for category, name in DETECTION_CLASS.items():
        categories[name].append(category)
    data = DetectionDataset(
        nuscenes_frames(root),
        classes=categories,
        indices=[0],
        # Also those that no point hits, so that more of the groups have one.
        least_points=0,
        grid={"voxel_size": (0.075, 0.075, 0.2), "lower": (-54.0, -54.0, -5.0), "upper": (54.0, 54.0, 3.0)},
        columns=("x", "y", "z", "intensity", "ring"),
        features=("xyz", "intensity", "ring"),
        reduce="mean",
        transforms=[Turn(), ScaleColumns({"ring": 0.0})],
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


def _voxelnext(backend: str) -> nn.Module:
    head = CentreHead(128, NUSCENES_GROUPS, lower=(-54, -54), cell=(0.6, 0.6))
    return VoxelNeXt(VoxelNeXtBackbone(5, grid=(1440, 1440, 41)), head, backend=backend)


@contextmanager
def _all_anchors(network: Any) -> Iterator[None]:
    """Makes all anchors proposals: of the few that a fresh network takes for cars, none may lie on one and be mended."""
    usual = network.training_proposals
    network.training_proposals = usual._replace(overlap=1.0, candidates=1_000_000, most=1_000_000)
    try:
        yield
    finally:
        network.training_proposals = usual


@contextmanager
def _odd_numbers(network: Any) -> Iterator[None]:
    """Leaves out one of an even number of objects: L1 pulls alike at all, and as many ups as downs are a gradient of 0."""
    usual = network.head.targets

    def targets(*arguments: Any) -> list[Any]:
        found = usual(*arguments)
        odd = [len(target.rows) - (len(target.rows) % 2 == 0) for target in found]
        return [t._replace(rows=t.rows[:n], codes=t.codes[:n]) for t, n in zip(found, odd, strict=True)]

    network.head.targets = targets
    try:
        yield
    finally:
        del network.head.targets


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
    "voxelnext": FullNetwork(
        "VoxelNeXt",
        "focal and L1 losses of six groups of classes",
        {"lr": 1e-3, "weight_decay": 1e-2},
        nuscenes,
        swept_voxels,
        _voxelnext,
        first=_odd_numbers,
    ),
}
