"""Boxes of one frame as json, for data sets that have no form of their own for detections."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from spikevox.tasks.atomic import write_atomically
from spikevox.tasks.datasets.frame import Boxes
from spikevox.tasks.datasets.lidar_file import read_text
from spikevox.tasks.errors import DataFileError


def write_boxes(path: str | Path, boxes: Boxes, *, source: str = "") -> None:
    """Writes names, centres, sizes, headings and, where they have them, scores; :func:`read_boxes` gives the same back.

    Args:
        path: of the json file.
        boxes: of the frame, in metres and radians in its own coordinates.
        source: what the frame is called.

    Raises:
        DataFileError: numbers that are not finite, which json does not have.
    """
    path = Path(path)
    rows: list[dict[str, Any]] = [
        {"name": name, "center": row[:3], "size": row[3:6], "yaw": row[6]}
        for name, row in zip(boxes.names, boxes.array().tolist(), strict=True)
    ]
    for place, score in enumerate([] if boxes.scores is None else boxes.scores.tolist()):
        rows[place]["score"] = score
    try:
        text = json.dumps({"source": source, "boxes": rows}, indent=1, allow_nan=False)
    except ValueError as error:
        raise DataFileError(f"{path}: boxes have numbers that are not finite.", path) from error
    write_atomically(path, (text + "\n").encode())


def read_boxes(path: str | Path) -> Boxes:
    """Reads what :func:`write_boxes` wrote.

    Raises:
        DataFileError: a file that is missing or of another form, numbers that are not finite, or sizes that are not positive;
            names the box.
    """
    path = Path(path)
    try:
        records = list(json.loads(read_text(path))["boxes"])
    except (ValueError, TypeError, KeyError) as error:
        raise DataFileError(f"{path}: expected json with 'boxes' ({error!r}).", path) from error
    rows = [_numbers(record, f"{path}, box {place}", path) for place, record in enumerate(records)]
    scored = [record["score"] for record in records if "score" in record]
    table = np.array(rows, dtype=np.float64).reshape(-1, 7)
    scores = np.array(scored, dtype=np.float64) if scored and len(scored) == len(records) else None
    return Boxes(
        table[:, :3], table[:, 3:6], table[:, 6], tuple(str(record["name"]) for record in records), scores=scores
    )


def _numbers(record: Any, source: str, path: Path) -> list[float]:
    try:
        row = [float(value) for value in (*record["center"], *record["size"], record["yaw"])]
        extra = [float(record["score"])] if "score" in record else []
        name = record["name"]
    except (ValueError, TypeError, KeyError) as error:
        raise DataFileError(f"{source}: {error!r}.", path) from error
    if len(row) != 7 or not np.isfinite(row + extra).all() or min(row[3:6]) <= 0 or not isinstance(name, str):
        raise DataFileError(
            f"{source}: expected a name, three finite numbers each for center and size, sizes positive, and yaw.", path
        )
    return row
