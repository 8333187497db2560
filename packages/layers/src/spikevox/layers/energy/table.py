"""What operations and memory cost: tables of published constants, or one of your own, each with its source."""

import math
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from spikevox.layers.errors import EnergyError

PRECISIONS = ("float32", "int8")
_WORD = 64


@dataclass(frozen=True)
class Arithmetic:
    """Picojoules of an operation, and the width of what it works on.

    Attributes:
        multiply: of a product.
        add: of an addition to a sum, or of a comparison.
        bits: of weights and activations.
        sum_bits: of sums and membranes.
    """

    multiply: float
    add: float
    bits: int
    sum_bits: int

    @property
    def mac(self) -> float:
        """Of a multiplication with addition."""
        return self.multiply + self.add


@dataclass(frozen=True)
class Memory:
    """A memory.

    Attributes:
        name: of it.
        bytes: that it holds.
        per_bit: picojoules to move one bit into it or out of it.
    """

    name: str
    bytes: float
    per_bit: float


@dataclass(frozen=True)
class EnergyTable:
    """Constants of a technology.

    Attributes:
        title: short.
        source: where the numbers come from.
        arithmetic: by precision, ``"float32"`` and ``"int8"``.
        memories: the smallest first.
    """

    title: str
    source: str
    arithmetic: dict[str, Arithmetic]
    memories: tuple[Memory, ...]

    def moving(self, bits: float, size: float) -> float:
        """Picojoules to move so many bits of a tensor that takes ``size`` bits in all.

        It lies in the smallest memory that holds it. What only the memory without limit holds comes from there once, and is then
        moved as from the largest of the others.
        """
        chosen = next(m for m in self.memories if size <= 8 * m.bytes)
        if chosen.bytes == math.inf and len(self.memories) > 1:
            return bits * self.memories[-2].per_bit + min(bits, size) * chosen.per_bit
        return bits * chosen.per_bit


def table_names() -> list[str]:
    """Names of the tables that there are."""
    folder = files("spikevox.layers.energy") / "constants"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_table(name: str | Path = "horowitz_45nm") -> EnergyTable:
    """Reads a table by its name, or a TOML file of the same form.

    Raises:
        EnergyError: an unknown name, or a file that lacks a number or has one that is not positive.

    Example:
        >>> load_table().arithmetic["float32"].mac, load_table().arithmetic["float32"].add
        (4.6000000000000005, 0.9)
    """
    path = Path(name)
    if path.suffix == ".toml":
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise EnergyError(f"there is no table of constants {path}.") from error
    elif str(name) in table_names():
        text = (files("spikevox.layers.energy") / "constants" / f"{name}.toml").read_text(encoding="utf-8")
    else:
        raise EnergyError(
            f"there is no table of constants {str(name)!r}: there are {', '.join(table_names())}, or give a .toml file."
        )
    try:
        return _table(tomllib.loads(text))
    except (KeyError, TypeError, ValueError) as error:
        raise EnergyError(f"the table of constants {name} cannot be used: {error}.") from error


def _table(content: dict[str, Any]) -> EnergyTable:
    arithmetic = {
        name: Arithmetic(
            float(content[name]["multiply"]),
            float(content[name]["add"]),
            int(content[name]["bits"]),
            int(content[name]["sum_bits"]),
        )
        for name in PRECISIONS
    }
    memories = [
        Memory(str(m["name"]), float(m.get("bytes", math.inf)), float(m["word"]) / _WORD) for m in content["memory"]
    ]
    memories.sort(key=lambda memory: memory.bytes)
    numbers = [v for a in arithmetic.values() for v in (a.multiply, a.add, a.bits, a.sum_bits)]
    if not all(0 < v < math.inf for v in (*numbers, *(m.per_bit for m in memories))):
        raise ValueError("its numbers must be positive")
    if not memories or memories[-1].bytes != math.inf:
        raise ValueError("one of its memories must have no limit of bytes, as DRAM has none")
    return EnergyTable(str(content["title"]), str(content["source"]), arithmetic, tuple(memories))
