"""One side of a plane, or what lies between two of them."""

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.errors import ConfigError


class Side(NamedTuple):
    """Where a coordinate lies between two bounds.

    Attributes:
        axis: 0 to 2 for x, y, z.
        low: in metres; what lies at a bound is outside.
        high: likewise.
        name: such as ``y > 2 m``.
    """

    axis: int
    low: float
    high: float
    name: str

    def holds(self, xyz: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(N,) which of the points (N, 3 or more) lie there."""
        place = xyz[:, self.axis]
        inside: NDArray[np.bool_] = (place > self.low) & (place < self.high)
        return inside


def side_of(axis: Literal["x", "y", "z"] | Any, above: float | None, below: float | None) -> Side:
    """The side above one bound, below another, or both.

    Raises:
        ConfigError: an unknown axis, or nothing between ``above`` and ``below``.
    """
    low, high = -math.inf if above is None else above, math.inf if below is None else below
    if axis not in ("x", "y", "z") or not low < high or (above is None and below is None):
        raise ConfigError(
            f"expected an axis x, y or z, and above, below or both in this order, got {axis!r}, {above} and {below}."
        )
    if above is None or below is None:
        name = f"{axis} > {above:g} m" if below is None else f"{axis} < {below:g} m"
    else:
        name = f"{above:g} < {axis} < {below:g} m"
    return Side("xyz".index(axis), low, high, name)
