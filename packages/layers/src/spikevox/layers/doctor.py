"""Says what is there, what is missing, what is lost without it and how to install it; imports none of it."""

import importlib.util
import os
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple


class Finding(NamedTuple):
    """One line of the diagnosis.

    Attributes:
        name: what was looked at.
        present: whether it is there.
        detail: its version, or what is lost without it and the command that installs it.
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
_DISTRIBUTIONS = {"OpenCV": ("opencv-python-headless", "opencv-python")}


def diagnose() -> list[Finding]:
    """Looks for everything that the packages can use.

    Example:
        >>> [finding.name for finding in diagnose()][0]
        'torch'
    """
    findings = []
    for name, (module, loss) in _WANTED.items():
        if importlib.util.find_spec(module) is None:
            findings.append(Finding(name, False, loss))
        else:
            findings.append(Finding(name, True, _version(_DISTRIBUTIONS.get(name, (name,)))))
    backend = os.environ.get("SPIKEVOX_BACKEND")
    if backend:
        findings.append(Finding("SPIKEVOX_BACKEND", True, f"set to {backend!r}"))
    return findings


def _version(distributions: tuple[str, ...]) -> str:
    for distribution in distributions:
        try:
            return f"{distribution} {version(distribution)}"
        except PackageNotFoundError:
            continue
    return "version unknown"
