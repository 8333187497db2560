"""Prints the oldest versions that the three packages say they work with, as pip's requirements.

python tools/oldest_versions.py > oldest.txt; pip install -r oldest.txt
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def oldest_versions(root: Path) -> dict[str, str]:
    """Name -> the lower bound in the pyprojects; where packages differ, the higher one, which all accept."""
    bounds: dict[str, str] = {}
    for path in sorted(root.glob("packages/*/pyproject.toml")):
        for needed in tomllib.loads(path.read_text(encoding="utf-8"))["project"]["dependencies"]:
            found = re.match(r"([\w.-]+)>=([\d.]+)", needed)
            if found is None:
                raise SystemExit(f"{path.relative_to(root)}: {needed!r} has no lower bound; write NAME>=VERSION")
            name, bound = found.groups()
            if name.startswith("spikevox-"):
                continue
            bounds[name] = max(bounds.get(name, "0"), bound, key=lambda v: [int(part) for part in v.split(".")])
    return bounds


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}=={bound}\n" for name, bound in sorted(oldest_versions(ROOT).items()))
