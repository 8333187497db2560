"""What stands in several places agrees."""

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = [
    "spikevox.encoding",
    "spikevox.layers",
    "spikevox.layers.neurons",
    "spikevox.layers.backbones",
    "spikevox.layers.deploy",
]
PACKAGES += ["spikevox.tasks", "spikevox.tasks.classification", "spikevox.tasks.datasets", "spikevox.tasks.transforms"]


def test_packages_ask_for_compatible_ranges_of_each_other():
    versions = {}
    for folder in ("encoding", "layers", "tasks"):
        project = tomllib.loads((ROOT / "packages" / folder / "pyproject.toml").read_text())["project"]
        versions[project["name"]] = project
    for project in versions.values():
        for needed in project["dependencies"]:
            name = needed.split(">")[0]
            if name in versions:
                major, minor, _ = versions[name]["version"].split(".")
                assert needed == f"{name}>={major}.{minor},<{major}.{int(minor) + 1}"


def test_the_tested_torch_is_pinned_and_listed():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line[:60])
    page = (ROOT / "docs" / "compatibility.md").read_text()
    assert f"| torch | {pins['torch']} (CPU) |" in page
    assert f"| mmengine | {pins['mmengine']} |" in page
    assert f"| numpy | {pins['numpy'].rsplit('.', 1)[0]} |" in page


@pytest.mark.parametrize("package", PACKAGES)
def test_lazily_resolved_names_are_those_that_editors_see(package):
    module = importlib.import_module(package)
    tree = ast.parse(Path(module.__file__).read_text())
    seen = {
        alias.name
        for node in tree.body
        if isinstance(node, ast.If)
        for statement in node.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert seen == set(module.__all__)
    submodules = {path.stem for path in Path(module.__file__).parent.glob("*.py")}
    assert not submodules & seen
    for name in seen:
        assert getattr(module, name) is not None


def test_the_layout_check_finds_faults(tmp_path):
    for name in ("utils.py", "spikevox/__init__.py", "long.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n" * (401 if name == "long.py" else 1))
    (tmp_path / "page.md").write_text("see /" + "tmp/here\n")
    for folder in ("encoding", "layers", "tasks"):
        (tmp_path / "packages" / folder).mkdir(parents=True)
        (tmp_path / "packages" / folder / "pyproject.toml").write_text(
            f'[project]\nname = "{folder}"\nversion = "1.0.0"\n'
        )
    command = [sys.executable, ROOT / "tools" / "check_layout.py", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    for fault in (
        "utils.py: a name that says nothing",
        "spikevox is a namespace package",
        "long.py: 401 lines",
        "page.md:1: an absolute path",
        "README.md is missing",
        "docs/compatibility.md: no row for layers 1.0.0",
    ):
        assert fault in result.stdout
