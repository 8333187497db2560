"""As `segment.py`, without generated streets: one scan of SemanticKITTI, as many steps."""

from .segment import *

alone = dict(type=JoinedFrames, readers=[scan], times=[240])
train_dataloader = dict(train_dataloader, dataset=dict(train_dataloader["dataset"], frames=alone, split="00/000000"))
