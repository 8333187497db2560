"""VoxelNeXt, small form, on the streets of `detect.py`: no anchors and no dense map, centres are found on sparse sites."""

from spikevox.layers.backbones import VoxelNeXtBackbone
from spikevox.tasks.detection import CentreHead, VoxelNeXt

from .detect import *

model = dict(
    type=VoxelNeXt,
    backbone=dict(type=VoxelNeXtBackbone, in_channels=4, size="small", grid=(800, 800, 33), batch_norm_momentum=0.05),
    head=dict(
        type=CentreHead,
        groups=[["car"]],
        lower=(-reach, -reach),
        # Eight voxels.
        cell=(0.8, 0.8),
        velocity=False,
        batch_norm_momentum=0.05,
    ),
    backend="auto",
)
