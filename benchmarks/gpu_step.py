"""Training step of encoder T and of the small U-Net on a GPU (backend `torch_ops`) against the backends of the CPU beside it.

A step is one batch of generated shapes, there on the device: sparse tensor, sites and kernel maps, forward, backward, fused
AdamW. On the GPU in float32, with TF32 products, and in bfloat16 under autocast, timed by CUDA events; on the CPU in
float32 on the threads that torch takes, by the clock. Rounds take turns after two that warm up; the figure is the median.
All start from the same weights, and the losses of the first step must agree.

    python benchmarks/gpu_step.py [--rounds 9] [--batch 32] [--voxel-size 0.04]

Without a GPU it says so and measures nothing.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import torch
from torch import Tensor, nn

from spikevox.encoding import VoxelBatch, collate
from spikevox.layers import GlobalMeanPool, Linear, SparseTensor, native
from spikevox.layers.backbones import Encoder, UNet
from spikevox.layers.backends import minkowski
from spikevox.tasks.datasets import GeneratedShapes

NETWORKS = {
    "encoder T, one class a shape": lambda channels: Encoder("T", channels, batch_norm_momentum=0.1),
    "small U-Net, one class a voxel": lambda channels: UNet(channels, size="small", batch_norm_momentum=0.1),
}
CLASSES = 10
WARM_UP = 2
# Weights of equal value; sums in other orders and shorter products let single neurons at a tie fire or not.
AGREEMENT = 0.05

Step = Callable[[], float]


@contextmanager
def products(kind: str) -> Iterator[None]:
    """Products of float32 factors in TF32, or as they are."""
    torch.set_float32_matmul_precision("high" if kind == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


def step_of(name: str, batch: VoxelBatch, device: str, backend: str, kind: str) -> Step:
    """One training step that returns its loss."""
    torch.manual_seed(0)
    backbone = NETWORKS[name](batch.features.shape[1])
    a_voxel = isinstance(backbone, UNet)
    layers = [backbone, Linear(backbone.out_channels, CLASSES)]
    network = nn.Sequential(*layers, *([] if a_voxel else [GlobalMeanPool()])).to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    coordinates, features, classes = (t.to(device) for t in (batch.coordinates, batch.features, batch.labels))
    labels = classes[coordinates[:, 0].long()] if a_voxel else classes

    def loss_of() -> Tensor:
        x = SparseTensor(features, coordinates, batch_size=batch.batch_size, backend=backend)
        result = network(x)
        # Voxels come ascending out of collate, so that labels and sites have one order.
        return nn.functional.cross_entropy(result.features.float() if a_voxel else result, labels)

    def step() -> float:
        optimiser.zero_grad()
        with products(kind):
            with torch.autocast(device, dtype=torch.bfloat16, enabled=kind == "bfloat16"):
                loss = loss_of()
            loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def milliseconds(step: Step, device: str) -> float:
    """Time of one step."""
    if device == "cpu":
        start = time.perf_counter()
        step()
        return 1e3 * (time.perf_counter() - start)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    step()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)


def variants(device: str) -> list[tuple[str, str, str]]:
    """Device, backend and precision of each row; the CPU's backends first."""
    engines = ["compiled"] * native.available() + ["minkowski"] * minkowski.available()
    return [("cpu", engine, "float32") for engine in engines or ["torch_ops"]] + [
        (device, "torch_ops", kind) for kind in ("float32", "tf32", "bfloat16")
    ]


def measure(name: str, batch: VoxelBatch, rounds: int, device: str) -> None:
    """Prints a row a variant, with its speed beside that of the fastest on the CPU."""
    steps = {variant: step_of(name, batch, *variant) for variant in variants(device)}
    first = {variant: step() for variant, step in steps.items()}
    reference = next(iter(first.values()))
    if any(abs(loss - reference) > AGREEMENT * reference for loss in first.values()):
        raise SystemExit(f"{name}: the losses differ: {first}")
    times: dict[tuple[str, str, str], list[float]] = {variant: [] for variant in steps}
    for _ in range(WARM_UP + rounds):
        for variant, step in steps.items():
            times[variant].append(milliseconds(step, variant[0]))
    medians = {variant: median(values[WARM_UP:]) for variant, values in times.items()}
    best = min(value for variant, value in medians.items() if variant[0] == "cpu")
    for variant, value in medians.items():
        print(f"{name:<34}{' '.join(variant):<26}{value:>10.2f}{best / value:>8.2f}", flush=True)


def main() -> None:
    """Prints the table, or one line where there is no GPU."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--voxel-size", type=float, default=0.04)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA device: nothing measured")
        return
    data = GeneratedShapes("test", count=options.batch, grid={"voxel_size": options.voxel_size, "origin": "minimum"})
    batch = collate([data[i] for i in range(options.batch)])
    print(f"{torch.cuda.get_device_name()}; CPU on {torch.get_num_threads()} threads; torch {torch.__version__}")
    print(f"{options.batch} shapes, {len(batch.coordinates)} voxels; ratio: to the fastest backend of the CPU")
    print(f"{'step':<34}{'device, backend, precision':<26}{'ms':>10}{'ratio':>8}")
    for name in NETWORKS:
        measure(name, batch, options.rounds, "cuda")


if __name__ == "__main__":
    main()
