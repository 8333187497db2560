"""Each package alone, from its wheel, in an empty environment: its own tests and its README's example pass."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow
TOOLS = ["pytest", "hypothesis"]


def run(*command, variables=None, **options):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHONPATH", "PYTEST"))}
    environment |= variables or {}
    result = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "OMP_NUM_THREADS": "1"},
        **options,
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return result.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Wheels of the three packages and of MinkowskiEngine, as `make wheels` leaves them."""
    folder = tmp_path_factory.mktemp("dist")
    freeze = (sys.executable, "-m", "pip", "freeze")
    before = run(*freeze)
    run("make", "-C", ROOT, "wheels", f"DIST={folder}")
    assert len(list(folder.glob("*.whl"))) == 4
    # MinkowskiEngine's setup.py uninstalls what is installed, if it is let.
    assert run(*freeze) == before
    return folder


@pytest.fixture
def environment(tmp_path, wheels):
    """Makes an empty environment and installs a package into it by name."""

    def make(name, *more):
        run(sys.executable, "-m", "venv", tmp_path / "venv")
        python = tmp_path / "venv" / "bin" / "python"
        pins = ROOT / "constraints.txt"
        run(python, "-m", "pip", "install", "-q", "-c", pins, "--find-links", wheels, name, *more, *TOOLS)
        return python

    return make


def run_example(python, package, folder):
    text = (ROOT / "packages" / package / "README.md").read_text(encoding="utf-8")
    run(python, "-W", "ignore", "-c", re.search(r"```python\n(.*?)```", text, flags=re.DOTALL).group(1), cwd=folder)


def run_tests(python, package):
    """Runs the package's own test folder on what the wheel installed; gives back the lines of what was skipped."""
    place = run(python, "-c", f"import spikevox.{package} as package; print(package.__file__)", cwd=python.parent)
    assert Path(place.strip()).is_relative_to(python.parents[1])
    command = [python, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", ROOT / "tests" / package]
    return [line for line in run(*command, cwd=ROOT).splitlines() if line.startswith("SKIPPED")]


def test_encoding_alone(environment, tmp_path):
    python = environment("spikevox-encoding")
    run_example(python, "encoding", tmp_path)
    run_tests(python, "encoding")
    absent = run(
        python, "-c", "import importlib.util as u; print(u.find_spec('spikevox.layers'), u.find_spec('mmengine'))"
    )
    assert absent.split() == ["None", "None"]


def test_layers_are_packed_without_a_compiler_too(tmp_path):
    source = tmp_path / "layers"
    shutil.copytree(ROOT / "packages" / "layers", source, ignore=shutil.ignore_patterns("build", "*.so", "*.egg-info"))
    pip = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--wheel-dir")
    packed = {}
    for name, compiler in (("with", {}), ("without", {"CC": "/bin/false", "CXX": "/bin/false"})):
        run(*pip, tmp_path / name, source, variables=compiler)
        shutil.rmtree(source / "build")
        (wheel,) = (tmp_path / name).glob("*.whl")
        packed[name] = set(zipfile.ZipFile(wheel).namelist())
    assert packed["with"] - packed["without"] == {"spikevox/layers/_native.so"}
    assert packed["without"] < packed["with"]


def test_layers_without_minkowski_engine(environment, tmp_path):
    python = environment("spikevox-layers")
    run_example(python, "layers", tmp_path)
    lines = run(python, "-c", "from spikevox.layers import diagnose\nfor f in diagnose(): print(*f)")
    assert "MinkowskiEngine False convolutions run on the slower backend 'torch_ops'" in lines
    skipped = run_tests(python, "layers")
    absent = ("MinkowskiEngine is not installed", "spconv is not installed", "nir is not installed")
    reasons = (*absent, "set SPIKEVOX_DATA", "no CUDA device")
    assert not [line for line in skipped if not any(reason in line for reason in reasons)]


def test_layers_with_the_wheel_of_minkowski_engine(environment, tmp_path):
    python = environment("spikevox-layers", "MinkowskiEngine")
    run_example(python, "layers", tmp_path)
    lines = run(python, "-c", "from spikevox.layers import diagnose\nfor f in diagnose(): print(*f)")
    assert "MinkowskiEngine True" in lines
    skipped = run_tests(python, "layers")
    assert not [line for line in skipped if "MinkowskiEngine" in line]


def test_tasks_and_its_command(environment, tmp_path):
    python = environment("spikevox-tasks")
    command = python.with_name("spikevox")
    assert "synthetic/classify.py" in run(command, "apps")
    run(command, "apps", "copy", "synthetic", tmp_path / "mine")
    quick = ["train_cfg.max_epochs=1", "train_dataloader.dataset.count=64", "param_scheduler=[]"]
    train = [command, "train", tmp_path / "mine" / "classify.py", *[word for key in quick for word in ("--set", key)]]
    if subprocess.run([python, "-c", "import cv2"], capture_output=True, check=False).returncode:
        # No desktop libraries: the command stops and names the line that helps, which then does.
        stopped = subprocess.run([*train, "--work-dir", tmp_path / "none"], capture_output=True, text=True, check=False)
        assert stopped.returncode == 1
        assert stopped.stderr.count("\n") == 1
        assert "pip uninstall -y opencv-python; pip install opencv-python-headless" in stopped.stderr
    pip = [python, "-m", "pip"]
    run(*pip, "uninstall", "-q", "-y", "opencv-python")
    run(*pip, "install", "-q", "-c", ROOT / "constraints.txt", "opencv-python-headless")
    run_example(python, "tasks", tmp_path)
    run(*train, "--work-dir", tmp_path / "work")
    assert (tmp_path / "work" / "weights.safetensors").is_file()
    view = (
        "view",
        tmp_path / "mine" / "classify.py",
        tmp_path / "work" / "weights.safetensors",
        "--out",
        tmp_path / "a.html",
    )
    run(command, *view)
    assert "The MIT License" in (tmp_path / "a.html").read_text(encoding="utf-8")
    run_tests(python, "tasks")
