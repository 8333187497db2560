"""Counts what would make a GPU's host wait, in code that runs on the CPU; imports nothing of spikevox.

On the CPU a tensor's value is at hand; on a GPU each of these waits for all that was queued. ``aten`` has the operations whose
result's size, or whose result itself, the host needs; those that never reach ``aten`` on the CPU are seen as calls.
"""

from contextlib import ExitStack
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# Indexing with a mask is a nonzero inside; to tell whether two tensors are equal is one value.
READING = ("_local_scalar_dense", "nonzero", "_unique", "_unique2", "unique_dim", "unique_consecutive", "masked_select")
READING += ("equal", "is_nonzero", "bincount", "repeat_interleave.Tensor")
CALLS = ((torch.Tensor, "tolist"), (torch.Tensor, "numpy"), (torch.Tensor, "cpu"), (torch.Tensor, "new_tensor"))
CALLS += ((torch, "tensor"), (torch, "as_tensor"))


class _Operations(TorchDispatchMode):
    def __init__(self, reads):
        super().__init__()
        self.reads = reads

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        packet, overload = str(func).removeprefix("aten.").split(".")[:2]
        by_mask = packet in ("index", "index_put", "index_put_") and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if by_mask or packet in READING or f"{packet}.{overload}" in READING:
            self.reads.append(f"{packet} by a mask" if by_mask else packet)
        return func(*args, **(kwargs or {}))


class HostReads:
    """A block; ``reads`` lists what was read to the host, or copied from it, inside."""

    def __enter__(self):
        self.reads = []
        self._blocks = ExitStack()
        for owner, name in CALLS:
            self._blocks.enter_context(patch.object(owner, name, self._counting(getattr(owner, name), name)))
        self._blocks.enter_context(_Operations(self.reads))
        return self.reads

    def __exit__(self, *error):
        self._blocks.close()

    def _counting(self, call, name):
        def counted(*args, **kwargs):
            self.reads.append(name)
            return call(*args, **kwargs)

        return counted
