"""make looks for what Debian has to bring before it starts, and prints the one line that installs the rest."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BROKEN_PYTHON = "#!/bin/sh\nexit 1\n"
WORKING_PYTHON = "#!/bin/sh\nexit 0\n"


def check(folder, programs, python=WORKING_PYTHON):
    """Runs the check where only ``programs`` can be found, with a python3 that answers every question alike."""
    for name in programs:
        program = folder / name
        program.write_text(python if name == "python3" else WORKING_PYTHON)
        program.chmod(0o755)
    command = [shutil.which("bash"), ROOT / "tools" / "check_system.sh"]
    return subprocess.run(command, env={"PATH": str(folder)}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("programs", "python", "missing"),
    [
        (["python3", "git"], WORKING_PYTHON, "g++"),
        (["python3", "g++"], WORKING_PYTHON, "git"),
        (["g++", "git"], WORKING_PYTHON, "python3 python3-venv python3-dev"),
        (["python3", "g++", "git"], BROKEN_PYTHON, "python3-venv python3-dev"),
        ([], WORKING_PYTHON, "python3 python3-venv python3-dev g++ git"),
    ],
)
def test_what_is_missing_is_named_in_one_line_that_installs_it(tmp_path, programs, python, missing):
    result = check(tmp_path, programs, python)
    assert result.returncode == 1
    assert result.stderr == f"spikevox needs: apt-get install -y {missing}\n"


def test_nothing_is_said_where_all_is_there(tmp_path):
    result = check(tmp_path, ["python3", "g++", "git"])
    assert (result.returncode, result.stdout + result.stderr) == (0, "")
