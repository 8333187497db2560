"""The same on generated streets in nuScenes' layout, made by `spikevox data make street`: the last street is the test."""

from .segment import *

train_scenes = [
    "scene-0000",
    "scene-0001",
    "scene-0002",
    "scene-0003",
    "scene-0004",
    "scene-0005",
    "scene-0006",
    "scene-0007",
    "scene-0008",
]
test_scenes = ["scene-0009"]
train_dataloader = dict(
    train_dataloader, dataset=dict(train_dataloader["dataset"], frames=dict(type=NuScenes, scenes=train_scenes))
)
test_dataloader = dict(
    test_dataloader,
    dataset=dict(test_dataloader["dataset"], frames=dict(type=NuScenes, scenes=test_scenes), split="scene-0009"),
)
