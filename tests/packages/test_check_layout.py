"""The layout check lets a sound tree pass and finds each single fault in it."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).resolve().parents[2] / "tools" / "check_layout.py"


@pytest.fixture
def tree(tmp_path):
    """The smallest tree without a fault: three packages of one version, and the page that lists them."""
    rows = ""
    for package in ("encoding", "layers", "tasks"):
        folder = tmp_path / "packages" / package
        source = folder / "src" / "spikevox" / package
        source.mkdir(parents=True)
        (folder / "pyproject.toml").write_text(f'[project]\nname = "spikevox-{package}"\nversion = "0.2.0"\n')
        (folder / "CHANGELOG.md").write_text("# Changelog\n\n## 0.2.0\n")
        for path in (folder / "README.md", folder / "LICENSE", source / "py.typed", source / "__init__.py"):
            path.write_text("")
        rows += f"| spikevox-{package} | 0.2.0 |\n"
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "compatibility.md").write_text(rows)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    return tmp_path


def check(tree):
    return subprocess.run([sys.executable, CHECK, tree], capture_output=True, text=True, check=False)


def test_a_sound_tree_passes(tree):
    result = check(tree)
    assert (result.returncode, result.stdout) == (0, "layout: nothing to complain of\n")


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("long.py", "x = 1\n" * 401, "long.py: 401 lines, at most 400"),
        ("misc.py", "", "misc.py: a name that says nothing"),
        ("packages/layers/src/spikevox/layers/core/conv.py", "", "core/conv.py: a name that says nothing"),
        ("packages/layers/src/spikevox/__init__.py", "", "spikevox is a namespace package"),
        ("build.sh", "#!/bin/sh\ncd /" + "tmp/here\n", "build.sh:2: an absolute path"),
        (".ci/run", "cd /" + "home/someone\n", ".ci/run:1: an absolute path"),
        ("docs/compatibility.md", "", "docs/compatibility.md: no row for spikevox-layers 0.2.0"),
        ("packages/tasks/CHANGELOG.md", "## 0.1.0\n", "packages/tasks/CHANGELOG.md: no section for version 0.2.0"),
    ],
)
def test_a_fault_is_named_with_its_place(tree, name, text, fault):
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text(text)
    result = check(tree)
    assert result.returncode == 1
    assert fault in result.stdout


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "LICENSE", "src/spikevox/layers/py.typed"])
def test_what_a_package_lacks_is_named(tree, name):
    (tree / "packages" / "layers" / name).unlink()
    assert f"packages/layers: {name} is missing" in check(tree).stdout


def test_long_files_of_just_the_limit_pass(tree):
    (tree / "long.py").write_text("x = 1\n" * 400)
    assert check(tree).returncode == 0
