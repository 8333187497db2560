"""nuScenes' tables: lists of records in json files that refer to each other by tokens."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.axes import matrix_from_quaternion
from spikevox.tasks.datasets.lidar_file import read_text
from spikevox.tasks.errors import DataFileError

# The fields of each table that are read here.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "sensor": ("channel",),
    "calibrated_sensor": ("sensor_token", "translation", "rotation"),
    "ego_pose": ("translation", "rotation"),
    "scene": ("name",),
    "sample": ("timestamp", "scene_token"),
    "sample_data": (
        "sample_token",
        "ego_pose_token",
        "calibrated_sensor_token",
        "timestamp",
        "filename",
        "is_key_frame",
        "prev",
    ),
    "category": ("name",),
    "instance": ("category_token",),
    "sample_annotation": ("sample_token", "instance_token", "translation", "size", "rotation", "prev", "next"),
    "attribute": ("name",),
    "lidarseg": ("sample_data_token", "filename"),
}
# Tables without which frames can be read.
OPTIONAL = ("attribute", "lidarseg")


class Table:
    """One table.

    Args:
        path: of the json file, which is named after the table.

    Attributes:
        rows: token to record.

    Raises:
        DataFileError: a file that is missing, truncated, or lacks a field; names the record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        text = read_text(path)
        try:
            records = json.loads(text)
        except ValueError as error:
            raise DataFileError(f"{path} is no json ({error}); it may be truncated.", path) from error
        if not isinstance(records, list):
            raise DataFileError(f"{path}: expected a list of records, got {type(records).__name__}.", path)
        fields = ("token", *FIELDS[path.stem])
        for row, record in enumerate(records):
            missing = [field for field in fields if not isinstance(record, dict) or field not in record]
            if missing:
                raise DataFileError(f"{path}: record {row} lacks {', '.join(missing)}.", path)
        self.rows: dict[str, dict[str, Any]] = {record["token"]: record for record in records}
        if len(self.rows) != len(records):
            raise DataFileError(f"{path}: {len(records) - len(self.rows)} records have the token of another.", path)

    def __getitem__(self, token: str) -> dict[str, Any]:
        if token not in self.rows:
            raise DataFileError(f"{self.path} has no record {token!r}, which another table refers to.", self.path)
        return self.rows[token]

    def motion(self, token: str) -> NDArray[np.float64]:
        """(4, 4) of a record with ``translation`` in metres and ``rotation`` as quaternion w, x, y, z."""
        record = self[token]
        try:
            motion = np.eye(4)
            motion[:3, :3] = matrix_from_quaternion(record["rotation"])
            motion[:3, 3] = record["translation"]
        except (ValueError, TypeError) as error:
            raise DataFileError(f"{self.path}, record {token!r}: {error}", self.path) from error
        if not np.isfinite(motion).all():
            raise DataFileError(f"{self.path}, record {token!r}: translation is not finite.", self.path)
        return motion
