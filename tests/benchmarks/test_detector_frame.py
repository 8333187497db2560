"""The clock around the parts of a network."""

import time

import pytest
from detector_frame import PARTS, PartClock
from torch import nn


class Busy(nn.Module):
    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def forward(self, x):
        end = time.process_time() + self.seconds
        while time.process_time() < end:
            pass
        return x


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone, self.head, self.other = Busy(0.02), Busy(0.01), Busy(0.03)

    def forward(self, x):
        return self.other(self.head(self.backbone(x)))


def test_each_part_has_its_own_time_and_what_is_no_part_has_none():
    network = Detector()
    clock = PartClock(network)
    network(1)
    network(1)
    assert set(clock.spent) == {"sparse backbone", "head"} < set(PARTS)
    assert clock.spent["sparse backbone"] == pytest.approx(40, abs=8)
    assert clock.spent["head"] == pytest.approx(20, abs=8)
