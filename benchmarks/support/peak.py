"""What one thread of the machine reaches at most: arithmetic in a matrix product, bytes in a copy."""

import time
from collections.abc import Callable

import torch

ATTEMPTS = 9


def gemm_gflops(size: int = 1024) -> float:
    """GFLOP/s of a float32 matrix product of ``size`` cubed, a multiplication and an addition counted as two."""
    left, right = torch.rand(size, size), torch.rand(size, size)
    return 2e-9 * size**3 / _fastest(lambda: torch.mm(left, right))


def memory_gigabytes(megabytes: int = 256) -> float:
    """GB/s of a copy that no cache holds: bytes read and bytes written."""
    source = torch.zeros(megabytes << 18)
    target = torch.empty_like(source)
    return 2e-9 * source.numel() * 4 / _fastest(lambda: target.copy_(source))


def _fastest(job: Callable[[], object]) -> float:
    """CPU seconds of the fastest attempt."""
    times = []
    for _ in range(ATTEMPTS):
        start = time.process_time()
        job()
        times.append(time.process_time() - start)
    return min(times[1:])
