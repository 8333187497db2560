"""Frames in which rare classes occur, more often: class-balanced resampling (CBGS, arXiv 1908.09492, section 3.1)."""

from collections.abc import Collection, Sequence

import numpy as np


def balanced_rows(
    names: Sequence[Collection[str]], classes: Sequence[str], generator: np.random.Generator
) -> list[int]:
    """Rows of frames, drawn so that each class is the reason for equally many.

    A frame counts once for each class that it has. Of their number in all each class draws an equal part, from its own frames,
    with repetition. Classes that no frame has draw nothing, and frames without a class are left out.

    Args:
        names: classes in each frame.
        classes: that are to be balanced.
        generator: what is drawn from.

    Example:
        >>> rows = balanced_rows([{"car"}, {"car"}, {"car", "bus"}], ["car", "bus"], np.random.default_rng(0))
        >>> len(rows), rows[2:]
        (4, [2, 2])
    """
    having = {name: [row for row, held in enumerate(names) if name in held] for name in classes}
    having = {name: rows for name, rows in having.items() if rows}
    share = sum(map(len, having.values())) // max(1, len(having))
    return [int(row) for rows in having.values() for row in generator.choice(rows, share)]
