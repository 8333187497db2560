"""nuScenes' file of detections: one json for all frames, boxes in the world's coordinates."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.atomic import write_atomically
from spikevox.tasks.datasets.axes import matrix_from_quaternion, quaternion_from_matrix
from spikevox.tasks.datasets.frame import Boxes
from spikevox.tasks.datasets.lidar_file import homogeneous, read_text
from spikevox.tasks.datasets.nuscenes_label import DETECTION_CLASS, DETECTION_NAMES
from spikevox.tasks.errors import DataFileError

Array = NDArray[np.float64]
_LENGTHS: Mapping[str, int] = {"translation": 3, "size": 3, "rotation": 4, "velocity": 2}


def write_nuscenes_results(path: str | Path, detections: Mapping[str, Boxes], poses: Mapping[str, Array]) -> None:
    """Writes detections as nuScenes' servers and tools take them.

    Velocities that are not known are written as 0, since json has no NaN, attributes that are not known as empty.

    Args:
        path: of the json file.
        detections: token of each key frame to its boxes in the frame's coordinates, with scores. Names are the classes of
            detection, or categories, which are merged into them.
        poses: token to (4, 4) from the frame's coordinates to the world's, see ``LidarFrame.pose``.

    Raises:
        DataFileError: a frame without a pose, boxes without scores, or names that are no class of detection.
    """
    path = Path(path)
    results: dict[str, list[dict[str, Any]]] = {}
    for token, boxes in detections.items():
        names = [DETECTION_CLASS.get(name, name) for name in boxes.names]
        strange = sorted(set(names) - set(DETECTION_NAMES))
        if strange or token not in poses or (len(boxes) and boxes.scores is None):
            reason = f"{strange[0]!r} is no class of detection" if strange else "boxes need scores and the frame a pose"
            raise DataFileError(f"{path}, frame {token}: {reason}.", path)
        results[token] = [_record(token, boxes, row, names[row], poses[token]) for row in range(len(boxes))]
    meta = {"use_camera": False, "use_lidar": True, "use_radar": False, "use_map": False, "use_external": False}
    write_atomically(path, json.dumps({"meta": meta, "results": results}, indent=1, allow_nan=False).encode())


def _record(token: str, boxes: Boxes, row: int, name: str, pose: Array) -> dict[str, Any]:
    c, s = np.cos(boxes.yaw[row]), np.sin(boxes.yaw[row])
    motion = homogeneous(np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]))
    motion[:3, 3] = boxes.centers[row]
    world = pose @ motion
    velocity = np.zeros(2) if boxes.velocities is None else np.nan_to_num(boxes.velocities[row])
    return {
        "sample_token": token,
        "translation": world[:3, 3].tolist(),
        "size": boxes.sizes[row][[1, 0, 2]].tolist(),
        "rotation": quaternion_from_matrix(world[:3, :3]).tolist(),
        # Along the ground: what the frame's tilt would add along z is not known.
        "velocity": (pose[:2, :2] @ velocity).tolist(),
        "detection_name": name,
        "detection_score": float(boxes.scores[row]),  # type: ignore[index]  # the caller checked it
        "attribute_name": "" if boxes.attributes is None else boxes.attributes[row],
    }


def read_nuscenes_results(path: str | Path, poses: Mapping[str, Array] | None = None) -> dict[str, Boxes]:
    """Reads detections of any program in nuScenes' format.

    Args:
        path: of the json file.
        poses: token to (4, 4) from the frame's coordinates to the world's; boxes come in the world's coordinates where not
            given.

    Returns:
        Token to boxes with scores, velocities and attributes.

    Raises:
        DataFileError: a file that is missing or of another form, numbers that are not finite, sizes that are not positive,
            or a frame without a pose; names frame and row.
    """
    path = Path(path)
    try:
        results = json.loads(read_text(path))["results"]
        frames = {str(token): list(records) for token, records in results.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataFileError(f"{path}: expected json with 'results', frames by token ({error!r}).", path) from error
    missing = sorted(set(frames) - set(poses)) if poses is not None else []
    if missing:
        raise DataFileError(f"{path}: {len(missing)} of {len(frames)} frames have no pose, first {missing[0]}.", path)
    return {
        token: _boxes(records, np.eye(4) if poses is None else poses[token], f"{path}, frame {token}", path)
        for token, records in frames.items()
    }


def _boxes(records: list[Any], pose: Array, source: str, path: Path) -> Boxes:
    rows = [_parse(record, f"{source}, row {row}", path) for row, record in enumerate(records)]
    to_frame = np.linalg.inv(pose)
    motions = np.array([to_frame @ motion for motion, *_ in rows]).reshape(-1, 4, 4)
    velocities = np.array([velocity for _, _, velocity, *_ in rows]).reshape(-1, 2)
    return Boxes(
        motions[:, :3, 3],
        np.array([size for _, size, *_ in rows]).reshape(-1, 3)[:, [1, 0, 2]],
        np.arctan2(motions[:, 1, 0], motions[:, 0, 0]),
        tuple(name for *_, name, _, _ in rows),
        velocities=velocities @ np.linalg.inv(pose[:2, :2]).T,
        scores=np.array([score for *_, score, _ in rows], dtype=np.float64),
        attributes=tuple(attribute for *_, attribute in rows),
    )


def _parse(record: Any, source: str, path: Path) -> tuple[Array, Array, Array, str, float, str]:
    """Motion, size, velocity, class, score and attribute of a record."""
    try:
        numbers = {key: np.array(record[key], dtype=np.float64) for key in _LENGTHS}
        name, score, attribute = record["detection_name"], float(record["detection_score"]), record["attribute_name"]
        motion = homogeneous(matrix_from_quaternion(numbers["rotation"]))
    except (ValueError, TypeError, KeyError) as error:
        raise DataFileError(f"{source}: {error!r}.", path) from error
    wrong = [
        key
        for key, length in _LENGTHS.items()
        if numbers[key].shape != (length,) or not np.isfinite(numbers[key]).all()
    ]
    if wrong or not np.isfinite(score) or numbers["size"].min() <= 0 or name not in DETECTION_NAMES:
        raise DataFileError(
            f"{source}: expected finite numbers, positive sizes and a class of detection, see "
            f"{', '.join(wrong) or 'size, detection_score and detection_name'}.",
            path,
        )
    motion[:3, 3] = numbers["translation"]
    return motion, numbers["size"], numbers["velocity"], str(name), score, str(attribute)
