"""The experiments that come with the package."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from spikevox.tasks.errors import ConfigError

_IN_WHEEL = Path(__file__).parent / "apps"
_IN_CHECKOUT = Path(__file__).resolve().parents[5] / "apps"


def apps_folder() -> Path:
    """Folder with one folder an app."""
    return _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CHECKOUT


def list_apps() -> list[str]:
    """``app/config.py`` of every experiment."""
    root = apps_folder()
    return sorted(str(path.relative_to(root)) for path in root.glob("*/*.py"))


def copy_app(words: Sequence[str]) -> str:
    """Carries out ``copy NAME DIR`` and says what was copied.

    Raises:
        ConfigError: other words, an unknown app, or a folder that is there already.
    """
    names = sorted({Path(app).parts[0] for app in list_apps()})
    if len(words) != 3 or words[0] != "copy" or words[1] not in names:
        raise ConfigError(f"use: spikevox apps copy NAME DIR, with NAME one of {', '.join(names)}.")
    target = Path(words[2])
    if target.exists():
        raise ConfigError(f"{target} is there already; name a folder that is not.")
    shutil.copytree(apps_folder() / words[1], target, ignore=shutil.ignore_patterns("__pycache__"))
    return f"{words[1]} copied to {target}"
