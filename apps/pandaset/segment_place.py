"""Small spiking U-Net on one street of PandaSet, split by place: six classes, one side to train, the other to test.

All points are seen in training, the labels of those more than 2 m to the left count; in the test those more than 2 m to the
right. Only classes that stand on both sides are told apart.
"""

from spikevox.tasks.datasets import LabelledSide
from spikevox.tasks.datasets.pandaset_label import SIX

from .segment import *

epochs = 50
warm_up = 5
left = dict(type=LabelledSide, frames=frames, axis="y", above=2.0)
right = dict(type=LabelledSide, frames=frames, axis="y", below=-2.0)
brightness = dict(type=ScaleColumns, factors=dict(intensity=0.04))
# Where things stand is learned by heart and no help elsewhere: of a point's place the network reads the height alone.
features = ("z", "intensity")

# 1 / sqrt(share + 0.001) of the training points that count, mean 1, in the order of the classes.
model = dict(
    model,
    backbone=dict(model["backbone"], in_channels=2),
    num_classes=6,
    class_weights=[2.12, 0.53, 1.87, 0.55, 0.38, 0.55],
)
train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        train_dataloader["dataset"],
        frames=left,
        split="left side of frames 00 to 40",
        classes=SIX,
        features=features,
        transforms=[brightness, *train_dataloader["dataset"]["transforms"][1:]],
    ),
)
test_dataloader = dict(
    batch_size=1,
    dataset=dict(
        test_dataloader["dataset"],
        frames=right,
        split="right side of frames 44 to 52",
        classes=SIX,
        features=features,
        transforms=[brightness],
    ),
)

train_cfg = dict(max_epochs=epochs)
param_scheduler = [
    dict(param_scheduler[0], end=warm_up),
    dict(param_scheduler[1], begin=warm_up, end=epochs),
]
