"""What became of every tensor of a conversion."""

from dataclasses import dataclass, field

from spikevox.encoding.errors import SpikevoxError


@dataclass
class ConversionReport:
    """Every tensor of both sides is in one of the lists, or matched.

    Attributes:
        network: which network it is.
        framework: whose code has the network on the other side.
        spconv: major version of spconv whose order of kernels the other side has.
        prefix: what stands before every name on the other side.
        total: tensors that the network has.
        matched: names, on the other side, of the tensors that went over.
        missing: tensors that one side lacks: those of the file, and in brackets ours that the table does not know.
        unexpected: tensors of the file that the network has no place for.
        shapes: tensors of another shape or type, both sides said.
        not_finite: tensors with NaN or infinite values.
        left_out: tensors of parts that were not asked for.
        notes: what else to know of the result.
    """

    network: str
    framework: str
    spconv: int
    prefix: str
    total: int
    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    not_finite: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Every tensor matched, and none is left that nobody asked to leave out."""
        return not (self.missing or self.unexpected or self.shapes or self.not_finite)

    def __str__(self) -> str:
        """A line for each list, with the first three of it."""
        rows = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "shape": self.shapes,
            "not finite": self.not_finite,
            "left out": self.left_out,
        }
        lines = [
            f"{self.network} of {self.framework}, kernels of spconv {self.spconv}, prefix {self.prefix!r}",
            f"  matched     {len(self.matched)} of {self.total} tensors",
        ]
        for name, found in rows.items():
            shown = "" if not found else "  " + ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
            lines.append(f"  {name:<11} {len(found)}{shown}")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


class ConversionError(SpikevoxError, ValueError):
    """Weights that are not those of a network that is known here.

    Attributes:
        report: what did not fit; ``None`` where it did not come to that.
    """

    def __init__(self, message: str, report: ConversionReport | None = None) -> None:
        super().__init__(message)
        self.report = report
