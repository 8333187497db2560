"""The detector of `detect.py` split by place: what lies more than 2 m to the left trains, in frames 00 to 40, what lies more than
2 m to the right tests, in frames 44 to 52.

Points and boxes of the other side are cut off: no car of the test has been seen.
"""

from spikevox.tasks.datasets import CutFrames

from .detect import *

left = dict(type=CutFrames, frames=scans, axis="y", above=2.0)
right = dict(type=CutFrames, frames=scans, axis="y", below=-2.0)
train_dataloader = dict(
    train_dataloader, dataset=dict(train_dataloader["dataset"], frames=left, split="left, frames 00 to 40")
)
test_dataloader = dict(dataset=dict(test_dataloader["dataset"], frames=right, split="right, frames 44 to 52"))
