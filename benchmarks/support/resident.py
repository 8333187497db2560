"""Resident size of this process, as Linux counts it, and measurements in a process of their own."""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")


def check_counted() -> None:
    """Stops where no largest resident size is counted."""
    if not STATUS.exists() or not RESET.exists():
        raise SystemExit("needs Linux, which counts the largest resident size of a process")


def resident(field: str) -> float:
    """Megabytes of a field of the process's status: ``VmRSS`` now, ``VmHWM`` at most since the last reset."""
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next(int(text.split()[1]) for text in lines if text.startswith(field)) * 1024 / 1e6


def growth(job: Callable[[], object]) -> tuple[float, float]:
    """Megabytes before a call, and how far it rose above them."""
    # Free memory that the allocator keeps would hide what the call needs.
    ctypes.CDLL(None).malloc_trim(0)
    RESET.write_text("5", encoding="ascii")
    before = resident("VmRSS")
    job()
    return before, resident("VmHWM") - before


def in_a_process(file: str, *arguments: str, environment: dict[str, str] | None = None) -> Any:
    """What a benchmark measures in a process of its own: the JSON of the last line that ``file --measure ...`` prints."""
    command = [sys.executable, file, "--measure", *arguments]
    variables = {**os.environ, **(environment or {})}
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    if done.returncode:
        raise SystemExit(f"{Path(file).name} {' '.join(arguments)}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
