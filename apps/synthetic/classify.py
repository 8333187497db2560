"""E-3DSNN's encoder T on ten classes of generated shapes: no download, minutes on two cores."""

from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from torch.optim import AdamW

from spikevox.layers.backbones import Encoder
from spikevox.tasks.classification import Classifier
from spikevox.tasks.datasets import GeneratedShapes
from spikevox.tasks.transforms import DropPoints, RotateZ, Scale

epochs = 12
warm_up = 2
voxels = dict(grid=dict(voxel_size=0.08, origin="minimum"), features=("xyz", "offset"))

model = dict(
    type=Classifier,
    encoder=dict(type=Encoder, size="T", in_channels=6, batch_norm_momentum=0.1),
    num_classes=10,
    label_smoothing=0.2,
    backend="auto",
)
train_dataloader = dict(
    batch_size=32,
    dataset=dict(
        type=GeneratedShapes,
        split="train",
        count=3000,
        # Poses are drawn with the shapes; a little more of everything keeps the network from learning them by heart.
        transforms=[dict(type=RotateZ), dict(type=Scale, amount=0.1, each_axis=True), dict(type=DropPoints, share=0.2)],
        **voxels,
    ),
)
val_dataloader = dict(batch_size=32, dataset=dict(type=GeneratedShapes, split="val", count=500, **voxels))
test_dataloader = dict(batch_size=32, dataset=dict(type=GeneratedShapes, split="test", count=500, **voxels))
vote_transforms = [dict(type=RotateZ), dict(type=Scale, amount=0.1, each_axis=True)]

train_cfg = dict(max_epochs=epochs, val_interval=4)
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=4e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.1, begin=0, end=warm_up, convert_to_iter_based=True),
    dict(type=CosineAnnealingLR, eta_min_ratio=1e-3, begin=warm_up, end=epochs, convert_to_iter_based=True),
]
randomness = dict(seed=0)
