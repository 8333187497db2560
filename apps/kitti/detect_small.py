"""A small detector of one stage for a CPU: generated streets as an HDL-64E sees them, and eight real frames of KITTI.

The test frames are the three of KITTI's usual validation list that have most cars of the eleven that were at hand.
"""

from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from torch.optim import AdamW

from spikevox.layers.backbones import BevBackbone, Voxel8x
from spikevox.tasks.datasets import DetectionDataset, JoinedFrames, KittiObjects, StreetFrames
from spikevox.tasks.detection import AnchorHead, SingleStageDetector
from spikevox.tasks.transforms import Flip, Scale

epochs = 5
warm_up = 0.1
train_frames = ["000000", "000001", "000002", "000003", "000004", "000005", "000009", "004139"]
test_frames = ["000006", "000008", "000021"]
car = dict(name="Car", size=(3.9, 1.6, 1.56), bottom=-1.78, matched=0.5, unmatched=0.35)
frames = dict(
    classes=dict(Car=["Car", "car", "van", "pickup"]),
    grid=dict(voxel_size=(0.1, 0.1, 0.15), lower=(0, -40, -3.2), upper=(70.4, 40, 1.6)),
    columns=("x", "y", "z", "intensity"),
    # Made-up intensities are not like KITTI's: heights alone.
    features=("z",),
    reduce="mean",
)
real = dict(type=KittiObjects, split="training", crop=True)

model = dict(
    type=SingleStageDetector,
    # A site more in height than the grid has.
    backbone=dict(type=Voxel8x, in_channels=1, size="small", grid=(704, 800, 33), batch_norm_momentum=0.05),
    bev=dict(type=BevBackbone, size="small", batch_norm_momentum=0.05),
    head=dict(type=AnchorHead, anchors=[car], extent=(0, -40, 70.4, 40), in_cells=True),
    # Boxes of low scores count too in average precision.
    choice=dict(score=0.05),
    backend="auto",
)
train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        type=DetectionDataset,
        frames=dict(
            type=JoinedFrames,
            readers=[
                dict(type=StreetFrames, count=160, first_seed=40000, sensor="hdl64", keep=True),
                dict(real, names=train_frames),
            ],
            times=[1, 10],
        ),
        split="train",
        least_points=5,
        transforms=[dict(type=Flip, axes=["y"]), dict(type=Scale, amount=0.05)],
        **frames,
    ),
)
test_dataloader = dict(
    dataset=dict(type=DetectionDataset, frames=dict(real, names=test_frames), split="3 frames", **frames),
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
