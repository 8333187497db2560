"""The experiment of `classify_t.py` without the last tenth of each class, which validates: choose recipes with this."""

from spikevox.tasks.datasets import ModelNet

from .classify_t import *

val_dataloader = dict(batch_size=32, dataset=dict(type=ModelNet, split="val", transforms=[normalise], **voxels))
train_dataloader = dict(train_dataloader, dataset=dict(train_dataloader["dataset"], split="train"))
train_cfg = dict(max_epochs=epochs, val_interval=10)
