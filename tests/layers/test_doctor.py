import os
import subprocess
import sys
from pathlib import Path

from spikevox.layers import diagnose
from spikevox.layers.doctor import diagnose as look


def test_what_is_here_is_found_with_its_version(monkeypatch):
    monkeypatch.setenv("SPIKEVOX_BACKEND", "torch_ops")
    findings = {finding.name: finding for finding in diagnose()}
    assert findings["torch"].present
    assert findings["torch"].detail.startswith("torch ")
    assert findings["SPIKEVOX_BACKEND"].detail == "set to 'torch_ops'"


def test_what_is_missing_comes_with_its_command(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    findings = {finding.name: finding for finding in look()}
    assert not any(findings[name].present for name in ("torch", "numpy", "MinkowskiEngine", "mmengine", "OpenCV"))
    assert "tools/install_minkowski.sh" in findings["MinkowskiEngine"].detail
    assert "opencv-python-headless" in findings["OpenCV"].detail


def test_what_is_there_and_does_not_import_counts_as_missing(tmp_path: Path):
    """A package of that name that fails as the real one does where a graphics library is missing."""
    (tmp_path / "cv2").mkdir()
    (tmp_path / "cv2" / "__init__.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')\n")
    code = "from spikevox.layers import diagnose; print({f.name: f for f in diagnose()}['OpenCV'])"
    result = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])},
    )
    assert "present=False" in result.stdout
    assert "does not import (ImportError: libGL.so.1: cannot open shared object file)" in result.stdout
    assert "pip install opencv-python-headless" in result.stdout


def test_the_doctor_imports_nothing_that_may_be_missing():
    code = (
        "import sys\n"
        "for name in ('torch', 'MinkowskiEngine', 'mmengine', 'numpy'): sys.modules[name] = None\n"
        "import spikevox.layers.doctor as doctor\n"
        "print(doctor.Finding)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_kernels_that_were_not_built_are_told_with_the_way_to_them(monkeypatch):
    def run(code):
        return "it was not built: install a C++ compiler" if "native" in code else ""

    monkeypatch.setattr("spikevox.layers.doctor._failure", run)
    finding = {found.name: found for found in look()}["compiled kernels"]
    assert not finding.present
    assert finding.detail.endswith("faster on the CPU, is not there: it was not built: install a C++ compiler")
    monkeypatch.undo()
    monkeypatch.setenv("SPIKEVOX_SIMD", "portable")
    found = {found.name: found for found in look()}["compiled kernels"]
    assert not found.present or found.detail == "built; SPIKEVOX_SIMD forces 'portable'"
