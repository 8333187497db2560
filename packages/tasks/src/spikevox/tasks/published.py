"""What the published networks were trained on: voxels, classes, and our model of each (E-3DSNN's code)."""

from typing import Any, NamedTuple

from torch import nn

from spikevox.layers.backbones import BevBackbone, Encoder, UNet, Voxel8x, VoxelNeXtBackbone
from spikevox.layers.convert import Recognised
from spikevox.tasks.classification import Classifier
from spikevox.tasks.datasets import semantickitti_label
from spikevox.tasks.datasets.base import PointPipeline
from spikevox.tasks.datasets.modelnet40 import COLUMNS
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
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.segmentation import Segmenter
from spikevox.tasks.transforms import NormaliseSphere

# In the order of modelnet40_shape_names.txt.
_MODELNET40 = (
    "airplane bathtub bed bench bookshelf bottle bowl car chair cone cup curtain desk door dresser flower_pot "
    "glass_box guitar keyboard lamp laptop mantel monitor night_stand person piano plant radio range_hood sink "
    "sofa stairs stool table tent toilet tv_stand vase wardrobe xbox"
)
# Our networks, and what each is called in the table of names.
KINDS: dict[type[nn.Module], str] = {
    Classifier: "classifier",
    Segmenter: "segmenter",
    Voxel8x: "voxel8x",
    SingleStageDetector: "single_stage",
    TwoStageDetector: "voxel_rcnn",
    VoxelNeXtBackbone: "voxelnext",
    VoxelNeXt: "voxelnext_detector",
}
_LIDAR = ("x", "y", "z", "intensity")
KITTI_SITES, NUSCENES_SITES = (1408, 1600, 41), (1440, 1440, 41)
_KITTI_VOXELS = {
    "grid": {"voxel_size": (0.05, 0.05, 0.1), "lower": (0.0, -40.0, -3.0), "upper": (70.4, 40.0, 1.0)},
    "columns": _LIDAR,
    "features": ("xyz", "intensity"),
    "reduce": "mean",
}


class Experiment(NamedTuple):
    """A published training.

    Attributes:
        data: what it was trained on.
        voxels: options of the PointPipeline.
        in_channels: columns of the features.
        class_names: ``None`` for a network without a head.
        note: in what our input differs from the published one, empty where it does not.
    """

    data: str
    voxels: dict[str, Any]
    in_channels: int
    class_names: tuple[str, ...] | None
    note: str


EXPERIMENTS = {
    "classifier": Experiment(
        "ModelNet40, modelnet40_normal_resampled",
        {
            "grid": {"voxel_size": 0.01, "origin": "minimum"},
            "columns": COLUMNS,
            "features": ("xyz", "normal"),
            "reduce": "random",
            "transforms": (NormaliseSphere(),),
        },
        6,
        tuple(_MODELNET40.split()),
        "",
    ),
    "segmenter": Experiment(
        "SemanticKITTI",
        {
            "grid": {
                "voxel_size": 0.05,
                "lower": (-35.2, -35.2, -4.0),
                "upper": (35.2, 35.2, 2.0),
                "origin": "minimum",
            },
            "columns": _LIDAR,
            "features": ("xyz", "intensity"),
            "reduce": "random",
        },
        4,
        semantickitti_label.CLASS_NAMES,
        "points out of the range are dropped; the published code moves them to its border",
    ),
    "voxel8x": Experiment(
        "KITTI",
        _KITTI_VOXELS,
        4,
        None,
        "a voxel is the mean of all its points; the published code takes at most 5",
    ),
    "voxelnext": Experiment(
        "nuScenes",
        {
            "grid": {"voxel_size": (0.075, 0.075, 0.2), "lower": (-54.0, -54.0, -5.0), "upper": (54.0, 54.0, 3.0)},
            "columns": (*_LIDAR, "time"),
            "features": ("xyz", "intensity", "time"),
            "reduce": "mean",
        },
        5,
        None,
        "a voxel is the mean of all its points; the published code takes at most 10",
    ),
}
for _detector in ("single_stage", "voxel_rcnn"):
    EXPERIMENTS[_detector] = EXPERIMENTS["voxel8x"]._replace(class_names=("Car",))
EXPERIMENTS["voxelnext_detector"] = EXPERIMENTS["voxelnext"]._replace(
    class_names=tuple(name for group in NUSCENES_GROUPS for name in group)
)


def published_model(found: Recognised) -> dict[str, Any]:
    """Our model of a published network, as a config has it, with the edge rule that it was trained with."""
    if found.name == "voxel8x":
        return {"type": Voxel8x, "grid": KITTI_SITES, **found.options}
    if found.name == "voxelnext":
        return {"type": VoxelNeXtBackbone, "grid": NUSCENES_SITES, **found.options}
    if found.name == "voxelnext_detector":
        return _voxelnext_model(found)
    if found.name in ("single_stage", "voxel_rcnn"):
        return _detector_model(found)
    if found.name == "classifier":
        # The published grid reaches 96 voxels beyond the shape: no edge is met.
        return {
            "type": Classifier,
            "encoder": {"type": Encoder, **found.options},
            "num_classes": found.num_classes,
        }
    return {
        "type": Segmenter,
        "backbone": {"type": UNet, "grid": "input", **found.options},
        "num_classes": found.num_classes,
    }


def _detector_model(found: Recognised) -> dict[str, Any]:
    voxels: dict[str, Any] = _KITTI_VOXELS["grid"]  # type: ignore[assignment]
    (low_x, low_y, _), (high_x, high_y, _) = voxels["lower"], voxels["upper"]
    head = {"type": AnchorHead, "anchors": [KITTI_CAR._asdict()], "extent": (low_x, low_y, high_x, high_y)}
    model = {
        "type": SingleStageDetector,
        "backbone": {"type": Voxel8x, "grid": KITTI_SITES, **found.options},
        "bev": {"type": BevBackbone, "size": found.size},
        "head": head,
    }
    if found.name == "single_stage":
        return model
    roi = {"type": RoiHead, "voxel_size": voxels["voxel_size"], "lower": voxels["lower"], "size": found.size}
    return {**model, "type": TwoStageDetector, "roi_head": roi}


def _voxelnext_model(found: Recognised) -> dict[str, Any]:
    voxels: dict[str, Any] = EXPERIMENTS[found.name].voxels["grid"]
    stride = VoxelNeXtBackbone.stride
    return {
        "type": VoxelNeXt,
        "backbone": {"type": VoxelNeXtBackbone, "grid": NUSCENES_SITES, **found.options},
        "head": {
            "type": CentreHead,
            "groups": NUSCENES_GROUPS,
            "lower": voxels["lower"][:2],
            "cell": tuple(stride * side for side in voxels["voxel_size"][:2]),
        },
    }


def published_input(found: Recognised) -> dict[str, Any]:
    """Voxels and class names of a published network, as weights files describe them.

    Raises:
        ConfigError: the tensors are for other features or classes than the published training's.
    """
    experiment = EXPERIMENTS[found.name]
    classes = None if experiment.class_names is None else len(experiment.class_names)
    if (found.in_channels, found.num_classes) != (experiment.in_channels, classes):
        raise ConfigError(
            f"the published {found.name} reads {experiment.in_channels} features and knows {classes} classes "
            f"({experiment.data}); this one reads {found.in_channels} and knows {found.num_classes}: say what they are with "
            "--config."
        )
    facts: dict[str, Any] = {"voxels": PointPipeline(**experiment.voxels).settings()}
    if experiment.class_names is not None:
        facts["class_names"] = list(experiment.class_names)
    return facts
