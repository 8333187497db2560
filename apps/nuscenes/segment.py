"""Small spiking U-Net on nuScenes' lidarseg: sixteen classes, the official split of v1.0-mini by scenes.

For another folder name its scenes in `train_scenes` and `test_scenes`.
"""

from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from torch.optim import AdamW

from spikevox.layers.backbones import UNet
from spikevox.tasks.datasets import LabelledFrames, NuScenes
from spikevox.tasks.datasets.nuscenes_label import CLASSES
from spikevox.tasks.segmentation import Segmenter
from spikevox.tasks.transforms import DropPoints, Flip, Jitter, RotateZ, Scale, ScaleColumns

epochs = 40
warm_up = 2
train_scenes = [
    "scene-0061",
    "scene-0553",
    "scene-0655",
    "scene-0757",
    "scene-0796",
    "scene-1077",
    "scene-1094",
    "scene-1100",
]
test_scenes = ["scene-0103", "scene-0916"]
brightness = dict(type=ScaleColumns, factors=dict(intensity=0.04))
voxels = dict(
    grid=dict(voxel_size=0.2, lower=(-50, -50, -4), upper=(50, 50, 14), origin="minimum"),
    columns=("x", "y", "z", "intensity"),
    features=("z", "intensity"),
)

model = dict(
    type=Segmenter,
    backbone=dict(type=UNet, in_channels=2, size="small", batch_norm_momentum=0.05),
    num_classes=16,
    lovasz=1.0,
    backend="auto",
)
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        type=LabelledFrames,
        frames=dict(type=NuScenes, scenes=train_scenes),
        split="train",
        classes=CLASSES,
        random_margin=16,
        transforms=[
            brightness,
            dict(type=DropPoints, share=0.2),
            dict(type=RotateZ),
            dict(type=Flip),
            dict(type=Scale, amount=0.05),
            dict(type=Jitter, sigma=0.005, clip=0.02),
        ],
        **voxels,
    ),
)
test_dataloader = dict(
    batch_size=1,
    dataset=dict(
        type=LabelledFrames,
        frames=dict(type=NuScenes, scenes=test_scenes),
        split="val",
        classes=CLASSES,
        transforms=[brightness],
        **voxels,
    ),
)

train_cfg = dict(max_epochs=epochs)
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=4e-3, weight_decay=0.01),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.1, begin=0, end=warm_up, convert_to_iter_based=True),
    dict(type=CosineAnnealingLR, eta_min_ratio=5e-3, begin=warm_up, end=epochs, convert_to_iter_based=True),
]
randomness = dict(seed=0)
