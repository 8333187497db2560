"""A training of seconds, for tests that kill and repeat it."""

from mmengine.optim import CosineAnnealingLR, OptimWrapper
from torch.optim import AdamW

from spikevox.layers.backbones import Encoder
from spikevox.tasks.classification import Classifier
from spikevox.tasks.datasets import GeneratedShapes
from spikevox.tasks.transforms import DropPoints, RotateZ

voxels = dict(grid=dict(voxel_size=0.3, origin="minimum"), features=("xyz",), scanner=dict(points=64))
model = dict(
    type=Classifier,
    encoder=dict(type=Encoder, size="T", in_channels=3, width=0.25, batch_norm_momentum=0.1),
    num_classes=10,
)
train_dataloader = dict(
    batch_size=8,
    dataset=dict(type=GeneratedShapes, count=37, transforms=[dict(type=RotateZ), dict(type=DropPoints)], **voxels),
)
val_dataloader = dict(batch_size=8, dataset=dict(type=GeneratedShapes, split="val", count=20, **voxels))
test_dataloader = dict(batch_size=8, dataset=dict(type=GeneratedShapes, split="test", count=20, **voxels))
vote_transforms = [dict(type=RotateZ)]
train_cfg = dict(max_epochs=4)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=AdamW, lr=1e-3, weight_decay=0.05))
param_scheduler = [dict(type=CosineAnnealingLR, eta_min=1e-5, begin=0, end=4, convert_to_iter_based=True)]
randomness = dict(seed=3)
