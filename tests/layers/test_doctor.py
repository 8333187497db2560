import subprocess
import sys

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
    assert not any(finding.present for finding in findings.values() if finding.name != "SPIKEVOX_BACKEND")
    assert "tools/install_minkowski.sh" in findings["MinkowskiEngine"].detail
    assert "opencv-python-headless" in findings["OpenCV"].detail


def test_the_doctor_imports_nothing_that_may_be_missing():
    code = (
        "import sys\n"
        "for name in ('torch', 'MinkowskiEngine', 'mmengine', 'numpy'): sys.modules[name] = None\n"
        "import spikevox.layers.doctor as doctor\n"
        "print(doctor.Finding)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
