"""Trains tiny.py in float64 for an epoch, with one empty cloud: torchrun distributed.py CONFIG FOLDER BATCH_SIZE."""

import sys
import warnings
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from mmengine.dist import is_main_process

from spikevox.tasks.config import load_config
from spikevox.tasks.datasets import GeneratedShapes
from spikevox.tasks.runner import build_runner


class OneEmpty(GeneratedShapes):
    """Shape 3 has no points."""

    def read(self, index):
        """As in the base, but for shape 3."""
        points, label, source = super().read(index)
        return (points[:0] if index == 3 else points), label, source


class Recording(torch.optim.SGD):
    """Keeps the gradients of the last step, which mmengine clears after it."""

    last: ClassVar[list] = []

    def step(self, closure=None):
        """Keeps, then steps."""
        Recording.last[:] = [p.grad.clone().numpy() for group in self.param_groups for p in group["params"]]
        return super().step(closure)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    path, folder, batch_size = sys.argv[1:]
    overrides = ["train_cfg.max_epochs=1", f"train_dataloader.batch_size={batch_size}"]
    config = load_config(path, [*overrides, "model.encoder.synchronise=True"])
    config["train_dataloader"]["dataset"]["type"] = OneEmpty
    # Five steps, the last one uneven.
    config["train_dataloader"]["dataset"]["count"] = 4 * int(batch_size) + max(2, int(batch_size) - 3)
    config["param_scheduler"] = []
    config["spike_rate"] = {"target": 0.05}
    # A step that does not divide by the size of the gradient: AdamW would turn rounding of near-zeros into steps.
    config["optim_wrapper"]["optimizer"] = {"type": Recording, "lr": 0.05}
    runner = build_runner(config, folder)
    runner.train()
    if is_main_process():
        values = {f"weight {n}": p.detach().numpy() for n, p in runner.network.named_parameters()}
        values |= {f"gradient {position}": gradient for position, gradient in enumerate(Recording.last)}
        np.savez(Path(folder) / "result.npz", **values)
