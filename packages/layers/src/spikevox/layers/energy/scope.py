"""What a network does besides being a network: suppression of boxes, say. It is named, and left out of the counts."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_inside: ContextVar[tuple[str, ...]] = ContextVar("uncounted", default=())
_met: ContextVar[list[str] | None] = ContextVar("uncounted_met", default=None)


@contextmanager
def uncounted(name: str) -> Iterator[None]:
    """Leaves arithmetic out of the counts and lists it there by name; also a decorator.

    For what no hardware would do in place of the network: decoding boxes, metrics, plots.

    Args:
        name: what is done.
    """
    met = _met.get()
    if met is not None and name not in met:
        met.append(name)
    token = _inside.set((*_inside.get(), name))
    try:
        yield
    finally:
        _inside.reset(token)


def is_uncounted() -> bool:
    """Whether the caller stands inside of an :func:`uncounted`."""
    return bool(_inside.get())


@contextmanager
def noting(met: list[str]) -> Iterator[None]:
    """Appends the name of each :func:`uncounted` that is entered meanwhile."""
    token = _met.set(met)
    try:
        yield
    finally:
        _met.reset(token)
