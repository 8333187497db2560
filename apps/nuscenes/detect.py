"""E-3DSNN's detector of nuScenes' ten classes in its published form: VoxelNeXt, ten sweeps, voxels of 7.5 x 7.5 x 20 cm.

For another folder than v1.0-mini name its scenes in `train_scenes` and `test_scenes`.
"""

from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from torch.optim import AdamW

from spikevox.layers.backbones import VoxelNeXtBackbone
from spikevox.tasks.datasets import DetectionDataset, NuScenes
from spikevox.tasks.detection import NUSCENES_GROUPS, CentreHead, VoxelNeXt
from spikevox.tasks.transforms import Flip, RotateZ, Scale, Shift

epochs = 20
rising = 8
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
classes = dict(
    car=["vehicle.car"],
    truck=["vehicle.truck"],
    construction_vehicle=["vehicle.construction"],
    bus=["vehicle.bus.bendy", "vehicle.bus.rigid"],
    trailer=["vehicle.trailer"],
    barrier=["movable_object.barrier"],
    motorcycle=["vehicle.motorcycle"],
    bicycle=["vehicle.bicycle"],
    pedestrian=[
        "human.pedestrian.adult",
        "human.pedestrian.child",
        "human.pedestrian.construction_worker",
        "human.pedestrian.police_officer",
    ],
    traffic_cone=["movable_object.trafficcone"],
)
frames = dict(
    classes=classes,
    grid=dict(voxel_size=(0.075, 0.075, 0.2), lower=(-54, -54, -5), upper=(54, 54, 3)),
    columns=("x", "y", "z", "intensity", "time"),
    features=("xyz", "intensity", "time"),
    reduce="mean",
)

model = dict(
    type=VoxelNeXt,
    # A site more in height than the grid has.
    backbone=dict(type=VoxelNeXtBackbone, in_channels=5, grid=(1440, 1440, 41)),
    # Eight voxels a cell.
    head=dict(type=CentreHead, groups=NUSCENES_GROUPS, lower=(-54, -54), cell=(0.6, 0.6)),
    backend="auto",
)
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        type=DetectionDataset,
        frames=dict(type=NuScenes, scenes=train_scenes, sweeps=10),
        split="train",
        # As published: frames in which rare classes occur come more often.
        balanced=True,
        # Of every frame of the split in memory; of a larger one, a file of them: `spikevox data objects`, and bank="FILE" here.
        paste=dict(
            counts=dict(
                car=2,
                truck=2,
                construction_vehicle=2,
                bus=2,
                trailer=2,
                barrier=2,
                motorcycle=2,
                bicycle=2,
                pedestrian=2,
                traffic_cone=2,
            )
        ),
        transforms=[
            dict(type=Flip),
            dict(type=RotateZ, angle=0.78539816),
            dict(type=Scale, amount=0.1),
            # Uniform, as wide as the published normal of 0.5 m.
            dict(type=Shift, amount=0.866),
        ],
        **frames,
    ),
)
test_dataloader = dict(
    dataset=dict(
        type=DetectionDataset,
        frames=dict(type=NuScenes, scenes=test_scenes, sweeps=10),
        split="val",
        **frames,
    ),
)

train_cfg = dict(max_epochs=epochs)
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=1e-3, weight_decay=0.01, betas=(0.9, 0.99)),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.1, begin=0, end=rising, convert_to_iter_based=True),
    dict(type=CosineAnnealingLR, eta_min_ratio=1e-4, begin=rising, end=epochs, convert_to_iter_based=True),
]
randomness = dict(seed=0)
