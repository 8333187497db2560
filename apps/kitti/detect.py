"""E-3DSNN's detector of KITTI's cars in its published form: two stages, voxels of 5 x 5 x 10 cm."""

from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from torch.optim import AdamW

from spikevox.layers.backbones import BevBackbone, Voxel8x
from spikevox.tasks.datasets import DetectionDataset, KittiObjects
from spikevox.tasks.detection import AnchorHead, RoiHead, TwoStageDetector
from spikevox.tasks.transforms import Flip, RotateZ, Scale

epochs = 80
rising = 32
car = dict(name="Car", size=(3.9, 1.6, 1.56), bottom=-1.78, matched=0.6, unmatched=0.45, rotations=(0.0, 1.57))
frames = dict(
    classes=dict(Car=["Car"]),
    grid=dict(voxel_size=(0.05, 0.05, 0.1), lower=(0, -40, -3), upper=(70.4, 40, 1)),
    columns=("x", "y", "z", "intensity"),
    features=("xyz", "intensity"),
    reduce="mean",
)
# Of a part of the data set, the listed frames that are there; `spikevox data check` names the others.
present = dict(type=KittiObjects, crop=True, present_only=True)

model = dict(
    type=TwoStageDetector,
    # A site more in height than the grid has.
    backbone=dict(type=Voxel8x, in_channels=4, grid=(1408, 1600, 41)),
    bev=dict(type=BevBackbone),
    head=dict(type=AnchorHead, anchors=[car], extent=(0, -40, 70.4, 40)),
    roi_head=dict(type=RoiHead, voxel_size=(0.05, 0.05, 0.1), lower=(0, -40, -3)),
    backend="auto",
)
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        type=DetectionDataset,
        frames=dict(present, split="train"),
        split="train",
        paste=dict(counts=dict(Car=15), least_points=5),
        transforms=[dict(type=Flip, axes=["y"]), dict(type=RotateZ, angle=0.78539816), dict(type=Scale, amount=0.05)],
        **frames,
    ),
)
test_dataloader = dict(
    dataset=dict(type=DetectionDataset, frames=dict(present, split="val"), split="val", **frames),
)

train_cfg = dict(max_epochs=epochs)
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=0.01, weight_decay=0.01, betas=(0.9, 0.99)),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.1, begin=0, end=rising, convert_to_iter_based=True),
    dict(type=CosineAnnealingLR, eta_min_ratio=1e-4, begin=rising, end=epochs, convert_to_iter_based=True),
]
randomness = dict(seed=0)
