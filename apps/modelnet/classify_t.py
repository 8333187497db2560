"""E-3DSNN's encoder T on ModelNet10: xyz and offsets of the first point in each voxel, one clean view at test time.

The recipe was chosen without the test split (`classify_t_val.py`); this trains on all 3,991 shapes, and the last epoch counts.
"""

from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from torch.optim import AdamW

from spikevox.layers.backbones import Encoder
from spikevox.tasks.classification import Classifier
from spikevox.tasks.datasets import ModelNet
from spikevox.tasks.transforms import DropPoints, NormaliseSphere, Scale

epochs = 60
warm_up = 9
voxels = dict(grid=dict(voxel_size=0.05, origin="minimum"), features=("xyz", "offset"))
normalise = dict(type=NormaliseSphere)
stretch = dict(type=Scale, amount=0.25, each_axis=True)

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
        type=ModelNet,
        split="train+val",
        random_margin=16,
        transforms=[normalise, dict(type=DropPoints, share=0.5), stretch],
        **voxels,
    ),
)
test_dataloader = dict(batch_size=32, dataset=dict(type=ModelNet, split="test", transforms=[normalise], **voxels))
vote_transforms = [normalise, stretch]

train_cfg = dict(max_epochs=epochs)
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
