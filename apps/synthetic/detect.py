"""Single-stage detector, small form, on generated streets seen by a Pandar64: cars within 40 m. No download."""

from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from torch.optim import AdamW

from spikevox.layers.backbones import BevBackbone, Voxel8x
from spikevox.tasks.datasets import DetectionDataset, StreetFrames
from spikevox.tasks.detection import AnchorHead, SingleStageDetector
from spikevox.tasks.transforms import Flip, ScaleColumns

epochs = 2
warm_up = 0.1
reach = 40.0
# Streets climb and fall: undersides of cars within reach lie at -3.1 to -0.9 m, half of them above -2.2 m.
car = dict(name="car", size=(4.5, 1.8, 1.6), bottom=-2.15, matched=0.5, unmatched=0.35)
# Half of the returns have less than 0.05.
brightness = dict(type=ScaleColumns, factors=dict(intensity=10.0))
frames = dict(
    classes=dict(car=["car", "van", "pickup"]),
    least_points=5,
    grid=dict(voxel_size=(0.1, 0.1, 0.15), lower=(-reach, -reach, -3.4), upper=(reach, reach, 1.4)),
    columns=("x", "y", "z", "intensity"),
    features=("z", "intensity"),
    reduce="mean",
)

model = dict(
    type=SingleStageDetector,
    # A site more in height than the grid has, as published.
    backbone=dict(type=Voxel8x, in_channels=2, size="small", grid=(800, 800, 33), batch_norm_momentum=0.05),
    bev=dict(type=BevBackbone, size="small", batch_norm_momentum=0.05),
    head=dict(type=AnchorHead, anchors=[car], extent=(-reach, -reach, reach, reach), in_cells=True),
    # Boxes of low scores count too in average precision.
    choice=dict(score=0.05),
    backend="auto",
)
train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        type=DetectionDataset,
        # 2.5 GB stay in memory.
        frames=dict(type=StreetFrames, count=600, first_seed=10000, keep=True),
        split="train",
        transforms=[brightness, dict(type=Flip)],
        **frames,
    ),
)
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        type=DetectionDataset,
        frames=dict(type=StreetFrames, count=20, first_seed=2000),
        split="val",
        transforms=[brightness],
        **frames,
    ),
)
test_dataloader = dict(
    dataset=dict(
        type=DetectionDataset,
        frames=dict(type=StreetFrames, count=50, first_seed=3000),
        split="test",
        transforms=[brightness],
        **frames,
    ),
)

train_cfg = dict(max_epochs=epochs, val_interval=1)
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=2e-3, weight_decay=0.01),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.1, begin=0, end=warm_up, convert_to_iter_based=True),
    dict(type=CosineAnnealingLR, eta_min_ratio=1e-2, begin=warm_up, end=epochs, convert_to_iter_based=True),
]
randomness = dict(seed=0)
