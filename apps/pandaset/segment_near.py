"""`segment.py`, scored on the points within 50 m along x and along y alone: to test the same weights."""

from spikevox.tasks.datasets import LabelledSide

from .segment import *

strip = dict(type=LabelledSide, frames=frames, axis="x", above=-50.0, below=50.0)
near = dict(type=LabelledSide, frames=strip, axis="y", above=-50.0, below=50.0)
test_dataloader = dict(
    batch_size=1,
    dataset=dict(test_dataloader["dataset"], frames=near, split="frames 44 to 52, within 50 m"),
)
