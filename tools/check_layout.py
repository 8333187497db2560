"""Checks what no other tool does: sizes, names, versions, and that the project speaks of itself alone."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

LONGEST_FILE = 400
VAGUE = {"utils", "util", "common", "misc", "core", "helpers"}
# Spelled in parts, so that this file passes its own check.
PRIVATE = re.compile("/(" + "|".join(["wo" + "rk/", "ro" + "ot/", "ho" + "me/", "tm" + "p/"]) + ")")
PACKAGES = ("encoding", "layers", "tasks")


def tracked_files(root: Path) -> list[Path]:
    """Files that git knows or would take up, or every file where there is no git."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if listing.returncode == 0 and listing.stdout:
        return [root / name for name in listing.stdout.split("\0") if name and (root / name).is_file()]
    return [path for path in root.rglob("*") if path.is_file()]


def check_files(root: Path) -> Iterator[str]:
    """Faults of single files."""
    for path in tracked_files(root):
        name = path.relative_to(root)
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:  # pictures, weights
            continue
        if path.suffix == ".py" and len(lines) > LONGEST_FILE:
            yield f"{name}: {len(lines)} lines, at most {LONGEST_FILE}; one idea a file"
        if path.suffix == ".py" and VAGUE & {path.stem, *name.parts[:-1]}:
            yield f"{name}: a name that says nothing; put the function beside its user"
        if path.name == "__init__.py" and path.parent.name == "spikevox":
            yield f"{name}: spikevox is a namespace package and has no __init__.py"
        for number, line in enumerate(lines, 1):
            if PRIVATE.search(line):
                yield f"{name}:{number}: an absolute path of one machine"


def check_packages(root: Path) -> Iterator[str]:
    """Faults of the three distributions and of the page that lists their versions."""
    page = root / "docs" / "compatibility.md"
    listed = page.read_text(encoding="utf-8") if page.is_file() else ""
    for package in PACKAGES:
        folder = root / "packages" / package
        for name in ("README.md", "CHANGELOG.md", "LICENSE", f"src/spikevox/{package}/py.typed"):
            if not (folder / name).is_file():
                yield f"packages/{package}: {name} is missing"
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        changes = folder / "CHANGELOG.md"
        if changes.is_file() and f"## {project['version']}" not in changes.read_text(encoding="utf-8"):
            yield f"packages/{package}/CHANGELOG.md: no section for version {project['version']}"
        if f"| {project['name']} | {project['version']} |" not in listed:
            yield f"docs/compatibility.md: no row for {project['name']} {project['version']}"


def main(root: Path) -> int:
    """Prints every fault; 1 where there is one."""
    faults = [*check_files(root), *check_packages(root)]
    print("\n".join(faults) or "layout: nothing to complain of")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent))
