"""Small spiking U-Net on one scan of SemanticKITTI and generated streets: half of the steps see the scan, half a street.

`segment_scan.py` leaves the streets out.
"""

from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from torch.optim import AdamW

from spikevox.layers.backbones import UNet
from spikevox.tasks.datasets import JoinedFrames, LabelledFrames, SemanticKitti, StreetFrames
from spikevox.tasks.datasets.semantickitti_label import CLASSES
from spikevox.tasks.segmentation import Segmenter
from spikevox.tasks.transforms import DropPoints, Flip, Jitter, RotateZ, Scale, Shift

epochs = 8
warm_up = 1
scan = dict(type=SemanticKitti, sequences=["00"])
city = dict(type=StreetFrames, count=60, first_seed=10000, sensor="hdl64", labels="semantickitti", keep=True)
suburb = dict(city, first_seed=20000, style="suburb")
# 1 / sqrt(share + 0.001) of the training points, mean 1, in the order of the classes.
class_weights = [
    0.31, 2.41, 1.85, 1.06, 1.0, 1.62, 2.13, 2.04, 0.13, 0.33, 0.18, 1.25, 0.2, 0.52, 0.21, 0.79, 0.38, 1.0, 1.6,
]  # fmt: skip
voxels = dict(
    grid=dict(voxel_size=0.25, lower=(-60, -60, -6), upper=(60, 60, 24), origin="minimum"),
    columns=("x", "y", "z", "intensity"),
    features=("z", "intensity"),
    reduce="mean",
)

model = dict(
    type=Segmenter,
    backbone=dict(type=UNet, in_channels=2, size="small", batch_norm_momentum=0.05),
    num_classes=19,
    class_weights=class_weights,
    lovasz=0.5,
    backend="auto",
)
train_dataloader = dict(
    batch_size=1,
    num_workers=1,
    dataset=dict(
        type=LabelledFrames,
        frames=dict(type=JoinedFrames, readers=[scan, city, suburb], times=[120, 1, 1]),
        split="00/000000 and generated streets",
        classes=CLASSES,
        random_margin=16,
        transforms=[
            dict(type=DropPoints, share=0.2),
            dict(type=RotateZ),
            dict(type=Flip),
            dict(type=Scale, amount=0.05),
            dict(type=Shift, amount=0.3),
            dict(type=Jitter, sigma=0.005, clip=0.02),
        ],
        **voxels,
    ),
)
test_dataloader = dict(
    batch_size=1,
    dataset=dict(
        type=LabelledFrames,
        frames=dict(type=SemanticKitti, sequences=["unknown_a"]),
        split="unknown_a/000100",
        classes=CLASSES,
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
