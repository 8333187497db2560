"""Transforms of a cloud: deterministic ones that always apply, and random ones for training.

Each takes points (P, C), the names of their columns and a generator, and returns new points. Columns ``normal_x``,
``normal_y``, ``normal_z`` turn with the coordinates; other columns pass. Labels of points travel as one more column, so that
they stay with their points through a transform that drops points or changes their order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.errors import ConfigError

Points = NDArray[np.floating]
_NORMAL = ("normal_x", "normal_y", "normal_z")


class Transform:
    """Base of transforms; ``augments`` tells random ones, which serve training only."""

    augments: ClassVar[bool] = True

    def __call__(self, points: Points, columns: Sequence[str], generator: np.random.Generator) -> Points:
        """New points; the input is left as it is."""
        raise NotImplementedError

    def keeps_boxes(self) -> bool:
        """Whether boxes around points are as right afterwards; those of a :class:`Motion` move with the points."""
        return False


class Motion(Transform):
    """Base of transforms that map all points by one matrix, which can map boxes too. A subclass defines ``draw``."""

    def draw(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """(4, 4) from the points' coordinates to new ones."""
        raise NotImplementedError

    def __call__(self, points: Points, columns: Sequence[str], generator: np.random.Generator) -> Points:
        """Draws the matrix and maps coordinates and normals."""
        return affine_map(points, columns, self.draw(generator))

    def keeps_boxes(self) -> bool:
        """Turns, mirrors, shifts and equal scales of all axes do."""
        return True


def affine_map(points: Points, columns: Sequence[str], motion: NDArray[np.floating]) -> Points:
    """New points: a (4, 4) matrix applied to coordinates, and its linear part to unit normals as they need it."""
    linear = motion[:3, :3]
    # A shift alone leaves normals as they are, to the last bit.
    result = points.copy() if np.array_equal(linear, np.eye(3)) else linear_map(points, columns, linear)
    result[:, :3] += motion[:3, 3]
    return result


def linear_map(points: Points, columns: Sequence[str], matrix: NDArray[np.floating]) -> Points:
    """New points: a 3x3 matrix applied to coordinates, and its inverse transpose to unit normals."""
    result = points.copy()
    result[:, :3] = points[:, :3] @ matrix.T
    if all(name in columns for name in _NORMAL):
        where = [list(columns).index(name) for name in _NORMAL]
        normals = points[:, where] @ np.linalg.inv(matrix)
        result[:, where] = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return result


def _motion(linear: NDArray[np.floating], shift: NDArray[np.floating] | float = 0.0) -> NDArray[np.float64]:
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = linear, shift
    return motion


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} must lie in [{low}, {high}], got {value}.")


@dataclass(frozen=True)
class NormaliseSphere(Transform):
    """Centroid to 0 and largest distance from it to 1."""

    augments: ClassVar[bool] = False

    def __call__(self, points: Points, columns: Sequence[str], generator: np.random.Generator) -> Points:
        """Uses no random numbers."""
        result = points.copy()
        if len(points) == 0:
            return result
        result[:, :3] -= points[:, :3].mean(axis=0)
        radius = float(np.sqrt((result[:, :3] ** 2).sum(axis=1)).max())
        if radius > 0:
            result[:, :3] /= radius
        return result


@dataclass(frozen=True)
class ScaleColumns(Transform):
    """Multiplies columns that are not coordinates, such as an intensity that counts from 0 to 255.

    Args:
        factors: factor of each column by name.

    Raises:
        ConfigError: a coordinate, a factor that is not finite, or, when it is called, a column that is not there.
    """

    factors: Mapping[str, float]
    augments: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not all(np.isfinite(factor) for factor in self.factors.values()) or {"x", "y", "z"} & set(self.factors):
            raise ConfigError(
                f"factors must be finite and of columns that are not coordinates, got {dict(self.factors)}."
            )

    def __call__(self, points: Points, columns: Sequence[str], generator: np.random.Generator) -> Points:
        """Uses no random numbers."""
        result = points.copy()
        for name, factor in self.factors.items():
            column = result[:, _place(name, columns)]
            column[:] = self.scaled(column, factor)
        return result

    def scaled(self, values: Points, factor: float) -> Points:
        """What a column's values become."""
        return values * factor

    def keeps_boxes(self) -> bool:
        """Coordinates stay."""
        return True


class LogColumns(ScaleColumns):
    """``log(1 + factor * value)`` of columns that are not coordinates; values below 0 count as 0.

    Intensities of a LiDAR span orders of magnitude: beside a reflector, asphalt and its white lines would be the same.

    Args:
        factors: factor of each column by name, above 0.

    Raises:
        ConfigError: as :class:`ScaleColumns`, or a factor that is not above 0.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(factor > 0 for factor in self.factors.values()):
            raise ConfigError(f"factors of a logarithm must be above 0, got {dict(self.factors)}.")

    def scaled(self, values: Points, factor: float) -> Points:
        """What a column's values become."""
        return np.log1p(factor * np.maximum(values, 0))


def _place(name: str, columns: Sequence[str]) -> int:
    if name not in columns:
        raise ConfigError(f"there is no column {name!r} to scale; there are {', '.join(columns)}.")
    return list(columns).index(name)


@dataclass(frozen=True)
class RotateZ(Motion):
    """Turns about the z axis by an angle uniform in ``[-angle, angle]``, in radians."""

    angle: float = float(np.pi)

    def __post_init__(self) -> None:
        _check_range("angle", self.angle, 0, float(np.pi))

    def draw(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """Draws one angle."""
        turn = generator.uniform(-self.angle, self.angle)
        c, s = np.cos(turn), np.sin(turn)
        return _motion(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]))


@dataclass(frozen=True)
class Scale(Motion):
    """Scales by a factor uniform in ``[1 - amount, 1 + amount]``, one for all axes or one for each."""

    amount: float = 0.1
    each_axis: bool = False

    def __post_init__(self) -> None:
        _check_range("amount", self.amount, 0, 0.9)

    def draw(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """Draws one factor, or three."""
        factors = generator.uniform(1 - self.amount, 1 + self.amount, 3 if self.each_axis else 1)
        return _motion(np.diag(np.broadcast_to(factors, 3)))

    def keeps_boxes(self) -> bool:
        """Unequal factors would make turned boxes askew."""
        return not self.each_axis


@dataclass(frozen=True)
class Shift(Motion):
    """Moves by a vector uniform in ``[-amount, amount]^3``, in metres."""

    amount: float = 0.2

    def draw(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """Draws one vector."""
        return _motion(np.eye(3), generator.uniform(-self.amount, self.amount, 3))


@dataclass(frozen=True)
class Flip(Motion):
    """Mirrors the coordinates along axes, each with probability one half; ``("y",)`` changes left and right alone."""

    axes: Sequence[str] = ("x", "y")

    def __post_init__(self) -> None:
        if not self.axes or not set(self.axes) <= {"x", "y"}:
            raise ConfigError(f"axes to mirror are x, y or both, got {self.axes!r}.")

    def draw(self, generator: np.random.Generator) -> NDArray[np.float64]:
        """Draws two signs."""
        signs = generator.choice([-1.0, 1.0], 2)
        return _motion(
            np.diag([sign if axis in self.axes else 1.0 for sign, axis in zip(signs, "xy", strict=True)] + [1.0])
        )


@dataclass(frozen=True)
class Jitter(Transform):
    """Adds normal noise to coordinates, cut at ``clip``, in metres."""

    sigma: float = 0.005
    clip: float = 0.02

    def __call__(self, points: Points, columns: Sequence[str], generator: np.random.Generator) -> Points:
        """Draws one vector a point."""
        result = points.copy()
        noise = generator.normal(0, self.sigma, (len(points), 3))
        result[:, :3] += np.clip(noise, -self.clip, self.clip)
        return result

    def keeps_boxes(self) -> bool:
        """Points move by noise alone."""
        return True


@dataclass(frozen=True)
class DropPoints(Transform):
    """Drops a share of the points, itself uniform in ``[0, share]``; at least one point stays."""

    share: float = 0.2

    def __post_init__(self) -> None:
        _check_range("share", self.share, 0, 1)

    def __call__(self, points: Points, columns: Sequence[str], generator: np.random.Generator) -> Points:
        """Draws the share, then the points that stay, in random order."""
        kept = max(1, round(len(points) * (1 - generator.uniform(0, self.share))))
        return points[generator.permutation(len(points))[:kept]]

    def keeps_boxes(self) -> bool:
        """Points that stay do not move."""
        return True


TRANSFORMS = {
    t.__name__: t for t in (NormaliseSphere, ScaleColumns, LogColumns, RotateZ, Scale, Shift, Flip, Jitter, DropPoints)
}


def build_transform(value: Any) -> Transform:
    """A transform from a transform, or from ``dict(type=Class or its name, ...)``.

    Raises:
        ConfigError: an unknown transform, or options that it does not have.
    """
    if isinstance(value, Transform):
        return value
    options = dict(value)
    kind = options.pop("type", None)
    kind = TRANSFORMS.get(kind, kind) if isinstance(kind, str) else kind
    if not (isinstance(kind, type) and issubclass(kind, Transform)):
        raise ConfigError(f"unknown transform {kind!r}; there are {', '.join(TRANSFORMS)}.")
    try:
        return kind(**options)
    except TypeError as error:
        raise ConfigError(f"{kind.__name__} cannot be built with {options}: {error}.") from error
