"""What generated streets alone teach about a real one: as `segment.py`, tested on PandaSet.

Coordinates of PandaSet's frames begin on the ground under the vehicle, those of generated ones at the sensor 1.97 m above;
PandaSet's intensities end at 255, generated ones at 1.
"""

from spikevox.tasks.datasets import AlignedFrames, PandaSet

from .segment import *

street = dict(type=PandaSet, sequences=["002"], sensor=0)
aligned = dict(type=AlignedFrames, frames=street, shift=(0.0, 0.0, -1.97), factors=dict(intensity=1 / 255))
test_dataloader = dict(
    batch_size=1,
    dataset=dict(test_dataloader["dataset"], frames=aligned, indices=[11, 12, 13], split="002, frames 44 to 52"),
)
