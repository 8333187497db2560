"""Gradient of a Segmenter's loss over four scenes, split among processes: torchrun distributed_loss.py FILE."""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spikevox.encoding import collate
from spikevox.layers.backbones import UNet
from spikevox.tasks.segmentation import Segmenter
from tasks.segmentation.toy_dataset import ToyScenes

if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    network = Segmenter(UNet(4, size="small", synchronise=True), 3, class_weights=(1, 2, 5)).double()
    # Unlike sizes: each process has another number of voxels and another mass of weights.
    clouds = [ToyScenes(points=100 * (index + 1))[index] for index in range(4)]
    loss = network(*collate(clouds[rank * 4 // world : (rank + 1) * 4 // world]), mode="loss")["loss"]
    loss.backward()
    gradients = torch.cat([p.grad.flatten() for p in network.parameters()])
    for value in (gradients, loss.detach()):
        dist.all_reduce(value)
    if rank == 0:
        np.savez(sys.argv[1], gradient=gradients.numpy() / world, loss=loss.item() / world)
    dist.destroy_process_group()
