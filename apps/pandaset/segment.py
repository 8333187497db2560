"""Small spiking U-Net on one street of PandaSet, split by frame: fourteen classes, frames 00 to 40 to train, 44 to 52 to test.

The vehicle moves 7.6 m in all: the split by frame asks for one street again. `segment_place.py` asks for another.
"""

from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from torch.optim import AdamW

from spikevox.layers.backbones import UNet
from spikevox.tasks.datasets import LabelledFrames, PandaSet
from spikevox.tasks.datasets.pandaset_label import FOURTEEN
from spikevox.tasks.segmentation import Segmenter
from spikevox.tasks.transforms import DropPoints, Flip, Jitter, RotateZ, Scale, ScaleColumns

epochs = 180
warm_up = 18
frames = dict(type=PandaSet, sequences=["002"], sensor=0)
# 1 / sqrt(share + 0.001) of the training points, mean 1, in the order of the classes.
class_weights = [0.54, 0.25, 1.37, 0.75, 0.23, 0.88, 0.77, 0.73, 2.24, 2.18, 2.63, 0.17, 0.19, 1.08]
brightness = dict(type=ScaleColumns, factors=dict(intensity=0.2))
voxels = dict(
    # No range: every point is in a voxel, also those 200 m away.
    grid=dict(voxel_size=0.2, origin="minimum"),
    columns=("x", "y", "z", "intensity"),
    features=("xyz", "intensity"),
)

model = dict(
    type=Segmenter,
    backbone=dict(type=UNet, in_channels=4, size="small", batch_norm_momentum=0.05),
    num_classes=14,
    class_weights=class_weights,
    backend="auto",
)
train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        type=LabelledFrames,
        frames=frames,
        split="frames 00 to 40",
        indices=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        classes=FOURTEEN,
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
        frames=frames,
        split="frames 44 to 52",
        indices=[11, 12, 13],
        classes=FOURTEEN,
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
