"""The machine that figures come from, and the versions of what ran on it."""

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from spikevox.layers import native

PEERS = ("torch", "numpy", "MinkowskiEngine", "spconv")


def describe() -> dict[str, Any]:
    """Processor, threads, load, instruction set, versions and date."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "load_average": [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "instruction_set": native.simd() if native.available() else None,
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {name: _version(name) for name in PEERS},
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def sentence(machine: dict[str, Any]) -> str:
    """The description in one line."""
    versions = ", ".join(f"{name} {version or 'absent'}" for name, version in machine["versions"].items())
    load = "unknown" if machine["load_average"] is None else " ".join(map(str, machine["load_average"]))
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} thread(s), {machine['instruction_set']}, "
        f"load {load}; {versions}; {machine['system']}; {machine['date']}"
    )


def processor() -> str:
    """Model of the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    fields = _fields(cpuinfo.read_text(encoding="utf-8")) if cpuinfo.is_file() else {}
    name = fields.get("model name") or platform.processor() or platform.machine()
    numbers = [f"{key} {fields[key]}" for key in ("cpu family", "model") if key in fields]
    return f"{name} ({', '.join(numbers)})" if numbers else name


def has(instruction_set: str) -> bool:
    """Whether the processor and the library have an instruction set, in use or not."""
    return bool(native.library().spikevox_simd_name(native.SIMD_LEVELS.index(instruction_set)))


def _fields(text: str) -> dict[str, str]:
    lines = (line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in lines}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
