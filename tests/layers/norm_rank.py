"""One process of the distributed normalisation test: python norm_rank.py RANK SIZE STORE INPUT OUTPUT SYNC."""

import sys

import numpy as np
import torch
import torch.distributed as dist

from spikevox.layers import BatchNorm

if __name__ == "__main__":
    rank, size, store, source, target, synchronise = sys.argv[1:]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=int(rank), world_size=int(size))
    norm = BatchNorm(3, synchronise=synchronise == "1").double()
    values = torch.from_numpy(np.load(source)).requires_grad_()
    result = norm(values)
    # Any loss that is not symmetric in the rows; losses of the processes add up.
    (result**3).sum().backward()
    np.savez(
        target,
        result=result.detach(),
        gradient=values.grad,
        weight_gradient=norm.weight.grad,
        variance=norm.running_var,
    )
    dist.barrier()
    dist.destroy_process_group()
