"""A training whose loader has processes of its own leaves them a core each."""

import os

import pytest
import torch

from spikevox.tasks.runner import _leave_cores


@pytest.fixture
def four_cores(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(
    ("threads", "workers", "left"), [(4, 1, 3), (4, 3, 1), (4, 9, 1), (2, 1, 2), (1, 1, 1), (4, 0, 4)]
)
def test_a_core_is_left_to_each_process(threads, workers, left):
    torch.set_num_threads(threads)
    _leave_cores(workers)
    assert torch.get_num_threads() == left
