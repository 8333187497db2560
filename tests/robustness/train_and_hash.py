"""Trains the tiny experiment with a number of threads and a backend, and prints a hash of the weights."""

import hashlib
import sys
import warnings

import torch

from spikevox.tasks import build_runner, load_config

if __name__ == "__main__":
    config, folder, threads, backend = sys.argv[1:]
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(threads))
    # Wide and many enough for torch to share its own work among the threads too.
    sizes = ["model.encoder.width=1.0", "train_dataloader.batch_size=32", "train_dataloader.dataset.count=96"]
    overrides = [f"model.backend={backend}", "train_cfg.max_epochs=1", *sizes]
    runner = build_runner(load_config(config, overrides), folder)
    runner.train()
    weights = b"".join(value.numpy().tobytes() for value in runner.network.state_dict().values())
    print("hash", hashlib.sha256(weights).hexdigest())
