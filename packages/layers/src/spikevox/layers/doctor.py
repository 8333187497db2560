"""Says what is there, what is missing, what is lost without it and how to install it; imports none of it."""

import importlib.util
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple


class Finding(NamedTuple):
    """One line of the diagnosis.

    Attributes:
        name: what was looked at.
        present: whether it is there and can be used.
        detail: its version, or what is wrong, what is lost without it and the command that installs it.
    """

    name: str
    present: bool
    detail: str


_WANTED = {
    "torch": ("torch", "nothing works without it: pip install torch"),
    "numpy": ("numpy", "nothing works without it: pip install numpy"),
    "MinkowskiEngine": (
        "MinkowskiEngine",
        "convolutions run on the slower backend 'torch_ops', and MinkowskiEngine tensors cannot be used; install it "
        "with tools/install_minkowski.sh, or from wheels made by `make wheels`",
    ),
    "mmengine": ("mmengine", "spikevox.tasks cannot train: pip install mmengine"),
    "OpenCV": (
        "cv2",
        "mmengine does not import: pip uninstall -y opencv-python; pip install opencv-python-headless",
    ),
}
# Both are often there and do not import: built for another torch, or without the system's graphics libraries.
_TRIED = {
    "MinkowskiEngine": "from spikevox.layers.backends.minkowski import load; load()",
    "OpenCV": "import cv2",
}
_COMPILED = "compiled kernels"
_DISTRIBUTIONS = {"OpenCV": ("opencv-python-headless", "opencv-python")}


def diagnose() -> list[Finding]:
    """Looks for everything that the packages can use; what is known to break is tried in a process of its own.

    Example:
        >>> [finding.name for finding in diagnose()][0]
        'torch'
    """
    findings = []
    for name, (module, loss) in _WANTED.items():
        if importlib.util.find_spec(module) is None:
            findings.append(Finding(name, False, loss))
            continue
        found = _version(_DISTRIBUTIONS.get(name, (name,)))
        failure = _failure(_TRIED[name]) if name in _TRIED else ""
        if failure:
            findings.append(Finding(name, False, f"{found} does not import ({failure}); {loss}"))
        else:
            findings.append(Finding(name, True, found))
    findings.append(_compiled())
    backend = os.environ.get("SPIKEVOX_BACKEND")
    if backend:
        findings.append(Finding("SPIKEVOX_BACKEND", True, f"set to {backend!r}"))
    return findings


def _compiled() -> Finding:
    """Our own library, built with the package."""
    failure = _failure("import sys\nfrom spikevox.layers import native\nsys.exit(native.reason_absent() or 0)")
    if failure:
        return Finding(_COMPILED, False, f"the backend 'compiled', faster on the CPU, is not there: {failure}")
    forced = os.environ.get("SPIKEVOX_SIMD")
    return Finding(_COMPILED, True, f"built; SPIKEVOX_SIMD forces {forced!r}" if forced else "built")


def _failure(code: str) -> str:
    """Last line of what a fresh interpreter says to this code; empty where it runs."""
    words = [sys.executable, "-W", "ignore", "-c", code]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return ""
    return (result.stderr.strip().splitlines() or [f"exit code {result.returncode}"])[-1]


def _version(distributions: tuple[str, ...]) -> str:
    for distribution in distributions:
        try:
            return f"{distribution} {version(distribution)}"
        except PackageNotFoundError:
            continue
    return "version unknown"
