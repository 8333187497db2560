"""VoxelNeXt, small form, on the streets of `detect.py`: no anchors and no dense map, centres are found on sparse sites."""

from mmengine.optim import CosineAnnealingLR, LinearLR

from spikevox.layers.backbones import VoxelNeXtBackbone
from spikevox.tasks.detection import CentreHead, VoxelNeXt

from .detect import *

epochs = 2
warm_up = 0.1

model = dict(
    type=VoxelNeXt,
    backbone=dict(type=VoxelNeXtBackbone, in_channels=2, size="small", grid=(800, 800, 33), batch_norm_momentum=0.05),
    head=dict(
        type=CentreHead,
        groups=[["car"]],
        lower=(-reach, -reach),
        # Eight voxels.
        cell=(0.8, 0.8),
        velocity=False,
        batch_norm_momentum=0.05,
    ),
    # An overlap of 0.7 asks for more exact boxes than the distances that nuScenes scores by.
    loss_weights=dict(box=1.0),
    # Boxes of low scores count too in average precision.
    choice=dict(score=0.05),
    backend="auto",
)
train_cfg = dict(max_epochs=epochs, val_interval=1)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.1, begin=0, end=warm_up, convert_to_iter_based=True),
    dict(type=CosineAnnealingLR, eta_min_ratio=1e-2, begin=warm_up, end=epochs, convert_to_iter_based=True),
]
