"""Trains, and stops dead at a chosen moment until it is killed: python killable.py CONFIG FOLDER MARKER [MOMENT COUNT].

MOMENT is "step" (after a step), "write" (a checkpoint is written but not yet complete) or "validation"; COUNT says
which one. MARKER is a file that appears when the moment has come.
"""

import os
import sys
import time
from pathlib import Path

import torch
from mmengine.runner import ValLoop

from spikevox.tasks import cli, hooks

seen = 0


def hold(marker, count):
    """Waits to be killed at the chosen occurrence."""
    global seen
    seen += 1
    if seen == count:
        Path(marker).touch()
        time.sleep(600)


def hold_at(moment, marker, count):
    """Puts the wait where the moment is."""
    if moment == "step":
        original = hooks.TrainingLog.after_train_iter

        def after(self, *arguments, **options):
            original(self, *arguments, **options)
            hold(marker, count)

        hooks.TrainingLog.after_train_iter = after
    elif moment == "write":
        original_sync = os.fsync

        def sync(handle):
            if "last.pth" in str(Path(f"/proc/self/fd/{handle}").readlink()):
                hold(marker, count)
            original_sync(handle)

        os.fsync = sync
    else:
        original_run = ValLoop.run_iter

        def run_iter(self, *arguments):
            hold(marker, count)
            return original_run(self, *arguments)

        ValLoop.run_iter = run_iter


if __name__ == "__main__":
    config, folder, marker, *where = sys.argv[1:]
    torch.set_num_threads(1)
    if where:
        hold_at(where[0], marker, int(where[1]))
    verb = "resume" if Path(folder).exists() else "train"
    sys.exit(cli.main([verb, config, "--work-dir", folder]))
