"""E-3DSNN's encoder T on ModelNet40: 8,192 points with normals, voxels of 0.01, the published training settings.

SGD with Nesterov momentum, 300 epochs, steps at 60 % and 80 % (E-3DSNN, section 4 and code). The published code picks its
best epoch on the test split; here the validation split chooses, and the last epoch counts.
"""

from mmengine.optim import MultiStepLR, OptimWrapper
from torch.optim import SGD

from spikevox.layers.backbones import Encoder
from spikevox.tasks.classification import Classifier
from spikevox.tasks.datasets import ModelNetResampled
from spikevox.tasks.transforms import NormaliseSphere, Scale, Shift

epochs = 300
samples = dict(
    type=ModelNetResampled,
    points=8192,
    grid=dict(voxel_size=0.01, origin="minimum"),
    features=("xyz", "normal"),
    reduce="random",
)
normalise = dict(type=NormaliseSphere)

model = dict(
    type=Classifier,
    encoder=dict(type=Encoder, size="T", in_channels=6),
    num_classes=40,
    label_smoothing=0.2,
    backend="auto",
)
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    dataset=dict(
        split="train",
        transforms=[normalise, dict(type=Scale, amount=0.1), dict(type=Shift, amount=0.2)],
        **samples,
    ),
)
val_dataloader = dict(batch_size=16, dataset=dict(split="val", transforms=[normalise], **samples))
test_dataloader = dict(batch_size=16, dataset=dict(split="test", transforms=[normalise], **samples))
vote_transforms = [normalise, dict(type=Scale, amount=0.1)]

train_cfg = dict(max_epochs=epochs, val_interval=10)
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3),
)
param_scheduler = [dict(type=MultiStepLR, milestones=[180, 240], gamma=0.1)]
randomness = dict(seed=0)
