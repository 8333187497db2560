"""Public names of a package that are imported when first used (PEP 562)."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any


def lazy_exports(
    package: str, names: Mapping[str, Sequence[str]], *, distribution: str | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Returns ``__getattr__``, ``__dir__`` and ``__all__`` for a package's ``__init__``.

    Importing torch takes seconds, so a package names what it offers without importing it.

    Args:
        package: the package's ``__name__``.
        names: submodule to the public names it defines.
        distribution: where given, ``__version__`` reads this distribution's metadata.

    Example:
        >>> getattr_, dir_, all_ = lazy_exports("fractions", {"": ()})
        >>> all_
        []
    """
    origin = {name: module for module, exported in names.items() for name in exported}

    def getattr_(name: str) -> Any:
        if name == "__version__" and distribution is not None:
            return version(distribution)
        if name not in origin:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{origin[name]}"), name)

    def dir_() -> list[str]:
        return sorted(origin)

    return getattr_, dir_, sorted(origin)
