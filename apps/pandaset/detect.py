"""Single-stage detector, small form, on PandaSet's cars and pickups within 40 m; frames 00 to 40 train, 44 to 52 test.

The vehicle moves 7.6 m in all 28 frames: most cars of the test stand in the training too, see `detect_place.py`.
"""

from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from torch.optim import AdamW

from spikevox.layers.backbones import BevBackbone, Voxel8x
from spikevox.tasks.datasets import DetectionDataset, PandaSet
from spikevox.tasks.detection import AnchorHead, SingleStageDetector
from spikevox.tasks.transforms import DropPoints, Flip, RotateZ, Scale, ScaleColumns, Shift

epochs = 70
warm_up = 2
reach = 40.0
# Undersides of cars within reach lie at -1.1 to 0.5 m, half of them above -0.28 m; the road falls to one side.
car = dict(name="car", size=(4.6, 1.9, 1.7), bottom=-0.28, matched=0.5, unmatched=0.35)
# Of 0 to 255; half of the returns have less than 8.
brightness = dict(type=ScaleColumns, factors=dict(intensity=0.04))
frames = dict(
    classes=dict(car=["Car", "Pickup Truck"]),
    least_points=5,
    # 0.5 is asked of PandaSet too: --set test_dataloader.dataset.min_overlap.car=0.5
    min_overlap=dict(car=0.7),
    grid=dict(voxel_size=(0.1, 0.1, 0.15), lower=(-reach, -reach, -1.5), upper=(reach, reach, 3.3)),
    columns=("x", "y", "z", "intensity"),
    features=("z", "intensity"),
    reduce="mean",
)
scans = dict(type=PandaSet, sequences=["002"], sensor=0)

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
        frames=scans,
        split="train",
        # Every fourth frame is there: 00, 04, ... 40.
        indices=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        transforms=[
            brightness,
            dict(type=DropPoints, share=0.2),
            dict(type=Flip),
            dict(type=RotateZ, angle=0.1),
            dict(type=Scale, amount=0.05),
            dict(type=Shift, amount=0.2),
        ],
        **frames,
    ),
)
test_dataloader = dict(
    dataset=dict(
        type=DetectionDataset,
        frames=scans,
        split="frames 44 to 52",
        indices=[11, 12, 13],
        transforms=[brightness],
        **frames,
    ),
)

train_cfg = dict(max_epochs=epochs)
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
