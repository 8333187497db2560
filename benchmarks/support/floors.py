"""Ratios that a benchmark must reach, and how they are told."""

from typing import NamedTuple

HEADER = ("name", "ours", "MinkowskiEngine", "spconv", "ratio", "floor", "state")
_WIDTHS = (56, 10, 17, 10, 8, 7, 7)


class Floor(NamedTuple):
    """A figure against the opponents'.

    Attributes:
        name: of the case, and the opponent that the ratio is to.
        ours: milliseconds or megabytes, as the opponents'.
        minkowski: of the better of its variants; ``None`` where it did not run.
        spconv: likewise.
        ratio: of the opponent's figure to ours; ``None`` where it did not run.
        floor: that the ratio must reach; ``None`` where there is none.
        binding: whether it must be reached on this machine.
    """

    name: str
    ours: float
    minkowski: float | None
    spconv: float | None
    ratio: float | None
    floor: float | None
    binding: bool

    @property
    def state(self) -> str:
        """``ok``, ``MISSED``, or ``n/a`` where the floor does not bind."""
        if self.floor is None or self.ratio is None or not self.binding:
            return "n/a"
        return "ok" if self.ratio >= self.floor else "MISSED"

    def cells(self) -> tuple[str, ...]:
        """As strings, in the order of ``HEADER``."""
        figures = (self.ours, self.minkowski, self.spconv)
        return (
            self.name,
            *("-" if value is None else f"{value:.2f}" for value in figures),
            "-" if self.ratio is None else f"{self.ratio:.2f}",
            "-" if self.floor is None else f"{self.floor:.1f}",
            self.state,
        )


def line(cells: tuple[str, ...]) -> str:
    """One row of the table."""
    first, *others = (
        f"{cell:<{width}}" if number == 0 else f"{cell:>{width}}"
        for number, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
    )
    return first + "".join(others)
