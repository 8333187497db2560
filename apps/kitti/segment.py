"""Small spiking U-Net on KITTI's objects: which points lie in the box of a car, a pedestrian or a cyclist.

KITTI labels what its left colour camera sees, so that points out of the image are left out. Points in boxes of trucks, trams
and other things do not count.
"""

from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from torch.optim import AdamW

from spikevox.layers.backbones import UNet
from spikevox.tasks.datasets import BoxLabels, KittiObjects, LabelledFrames
from spikevox.tasks.segmentation import Segmenter
from spikevox.tasks.transforms import DropPoints, Flip, Jitter, RotateZ, Scale

epochs = 20
warm_up = 1
names = ("Car", "Van", "Pedestrian", "Person_sitting", "Cyclist", "Truck", "Tram", "Misc")
classes = dict(background=(0,), car=(1, 2), pedestrian=(3, 4), cyclist=(5,))
voxels = dict(
    grid=dict(voxel_size=0.1, lower=(-70, -70, -3), upper=(70, 70, 3), origin="minimum"),
    columns=("x", "y", "z", "intensity"),
    features=("z", "intensity"),
)
# Of a part of the data set, the listed frames that are there; `spikevox data check` names the others.
present = dict(type=KittiObjects, crop=True, present_only=True)

model = dict(
    type=Segmenter,
    backbone=dict(type=UNet, in_channels=2, size="small", batch_norm_momentum=0.05),
    num_classes=4,
    lovasz=1.0,
    backend="auto",
)
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        type=LabelledFrames,
        frames=dict(type=BoxLabels, frames=dict(present, split="train"), names=names),
        split="train",
        classes=classes,
        random_margin=16,
        transforms=[
            dict(type=DropPoints, share=0.2),
            dict(type=RotateZ, angle=0.785),
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
        frames=dict(type=BoxLabels, frames=dict(present, split="val"), names=names),
        split="val",
        classes=classes,
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
