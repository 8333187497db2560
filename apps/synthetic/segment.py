"""Small spiking U-Net on generated streets, with PandaSet's fourteen merged classes: no download, minutes on two cores.

Every scene is another street: 1250 to train, 8 to validate, 16 to test.
"""

from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from torch.optim import AdamW

from spikevox.layers.backbones import UNet
from spikevox.tasks.datasets import LabelledFrames, StreetFrames
from spikevox.tasks.datasets.pandaset_label import FOURTEEN
from spikevox.tasks.segmentation import Segmenter
from spikevox.tasks.transforms import DropPoints, Flip, Jitter, LogColumns, RotateZ, Scale, Shift

epochs = 3
warm_up = 0.25
# 1 / sqrt(share + 0.001) of the training points, mean 1, in the order of the classes.
class_weights = [0.54, 0.27, 1.63, 0.52, 0.38, 1.25, 0.69, 0.67, 1.94, 1.67, 2.61, 0.22, 0.3, 1.3]
# Half of the returns have less than 0.05, signs 1.
brightness = dict(type=LogColumns, factors=dict(intensity=50.0))
voxels = dict(
    # No range: every point is in a voxel, also those 200 m away.
    grid=dict(voxel_size=0.25, origin="minimum"),
    columns=("x", "y", "z", "intensity"),
    features=("z", "intensity"),
    reduce="mean",
)

model = dict(
    type=Segmenter,
    backbone=dict(type=UNet, in_channels=2, size="small", batch_norm_momentum=0.05),
    num_classes=14,
    class_weights=class_weights,
    lovasz=0.5,
    backend="auto",
)
train_dataloader = dict(
    batch_size=1,
    num_workers=1,
    dataset=dict(
        type=LabelledFrames,
        # Made anew in every epoch, beside the training: to keep them would take 5 GB.
        frames=dict(type=StreetFrames, count=1250, first_seed=10000, labels="pandaset"),
        split="train",
        classes=FOURTEEN,
        random_margin=16,
        transforms=[
            brightness,
            dict(type=DropPoints, share=0.2),
            # Streets run along x.
            dict(type=RotateZ, angle=0.1),
            dict(type=Flip),
            dict(type=Scale, amount=0.05),
            dict(type=Shift, amount=0.2),
            dict(type=Jitter, sigma=0.005, clip=0.02),
        ],
        **voxels,
    ),
)
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        type=LabelledFrames,
        frames=dict(type=StreetFrames, count=8, first_seed=20000, labels="pandaset", keep=True),
        split="val",
        classes=FOURTEEN,
        transforms=[brightness],
        **voxels,
    ),
)
test_dataloader = dict(
    batch_size=1,
    dataset=dict(
        type=LabelledFrames,
        frames=dict(type=StreetFrames, count=16, first_seed=30000, labels="pandaset"),
        split="test",
        classes=FOURTEEN,
        transforms=[brightness],
        **voxels,
    ),
)

train_cfg = dict(max_epochs=epochs, val_interval=1)
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
