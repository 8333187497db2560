"""Every documented line that installs from wheels is one that the slow tests run."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("packages/*/README.md")]


def installs_under_test():
    """What test_wheels.py asks pip for, one call of its fixture each."""
    calls = ast.walk(ast.parse(Path(__file__).with_name("test_wheels.py").read_text(encoding="utf-8")))
    return {
        " ".join(ast.literal_eval(argument) for argument in call.args)
        for call in calls
        if isinstance(call, ast.Call) and getattr(call.func, "id", None) == "environment"
    }


def test_documented_install_lines_are_tested():
    documented = {
        " ".join(names.split())
        for page in PAGES
        for names in re.findall(r"pip install --find-links dist ([\w\- ]+)", page.read_text(encoding="utf-8"))
    }
    assert documented == installs_under_test()
