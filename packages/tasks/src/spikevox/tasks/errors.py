"""Errors of the pipelines; all derive from ``SpikevoxError``."""

from pathlib import Path

from spikevox.encoding.errors import SpikevoxError


class ConfigError(SpikevoxError, ValueError):
    """A configuration has something that it must not have, or lacks something."""


class DataFileError(SpikevoxError, ValueError):
    """A data file is missing, truncated, empty or of another format than expected.

    Attributes:
        path: the file.
    """

    def __init__(self, message: str, path: str | Path) -> None:
        super().__init__(message)
        self.path = Path(path)


class BoxError(SpikevoxError, ValueError):
    """Boxes, or what comes with them, are of another form than expected.

    Attributes:
        rows: of the boxes concerned; empty where all are.
    """

    def __init__(self, message: str, rows: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.rows = rows


class CheckpointError(SpikevoxError, ValueError):
    """A checkpoint or weights file cannot be read, or does not fit the network or the configuration."""


class ViewError(SpikevoxError, ValueError):
    """Something that a page of the viewer cannot show: another shape than expected, numbers that are not finite, nothing."""
