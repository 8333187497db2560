"""Errors that carry the facts: every error of the project derives from ``SpikevoxError``."""

from collections.abc import Iterable


class SpikevoxError(Exception):
    """Base of every error that spikevox raises on purpose."""


class PointCloudError(SpikevoxError, ValueError):
    """A point cloud, or an option that describes how to read it, is invalid.

    Attributes:
        rows: the rows concerned, counted from 0; empty where no single row is at fault.
    """

    def __init__(self, message: str, rows: Iterable[int] = ()) -> None:
        super().__init__(message)
        self.rows = tuple(int(row) for row in rows)


class CoordinateRangeError(SpikevoxError, OverflowError):
    """Coordinates leave the range that can be addressed.

    Attributes:
        rows: the rows concerned, counted from 0.
    """

    def __init__(self, message: str, rows: Iterable[int] = ()) -> None:
        super().__init__(message)
        self.rows = tuple(int(row) for row in rows)
