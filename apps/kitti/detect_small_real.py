"""The same without generated streets: as many steps on the eight real frames alone."""

from .detect_small import *

train_dataloader = dict(
    train_dataloader,
    dataset=dict(
        train_dataloader["dataset"],
        frames=dict(type=JoinedFrames, readers=[dict(real, names=train_frames)], times=[30]),
    ),
)
