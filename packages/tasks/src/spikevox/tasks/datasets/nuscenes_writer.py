"""Writes a small data set in nuScenes' layout: tables, scans, lidarseg's labels."""

import hashlib
import json
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.atomic import write_atomically
from spikevox.tasks.datasets.axes import FROM_RIGHTWARD, quaternion_from_matrix, to_rightward
from spikevox.tasks.datasets.frame import Boxes, LidarFrame, check_frame
from spikevox.tasks.datasets.lidar_file import check_known, homogeneous
from spikevox.tasks.datasets.nuscenes import CHANNEL, COLUMNS
from spikevox.tasks.datasets.nuscenes_label import LABEL_NAMES
from spikevox.tasks.errors import DataFileError

_Records = list[dict[str, Any]]


def write_nuscenes(
    root: str | Path,
    scenes: Mapping[str, Sequence[LidarFrame]] | Iterable[tuple[str, Sequence[LidarFrame]]],
    *,
    key_frames: Mapping[str, Sequence[bool]] | None = None,
    lidar_to_vehicle: NDArray[np.floating] | None = None,
    version: str = "v1.0-mini",
) -> None:
    """Writes sweeps of scenes, so that :class:`spikevox.tasks.datasets.NuScenes` reads the same points, labels and boxes.

    Poses and boxes go through the world's coordinates and come back within rounding of float64; velocities are not written,
    since nuScenes keeps positions alone and a reader derives velocities from them. The tables are those that NuScenes reads,
    and ``log``, ``attribute``, ``visibility`` and ``map``, which other tools open, with no more in them than they must have:
    the map's mask is 10 m wide and marks nothing.

    Args:
        root: folder for ``samples``, ``sweeps`` and the tables.
        scenes: name to sweeps in order of time, each with the columns x, y, z, intensity, ring, a pose and a time; or pairs of
            a name and sweeps, which are taken one after the other.
        key_frames: name to whether each sweep is a key frame; all by default. Labels and boxes of others are not written.
        lidar_to_vehicle: (4, 4) mounting of the LiDAR, between axes x forward, y left; the identity by default.
        version: name of the folder of the tables.

    Raises:
        DataFileError: other columns, no pose or time, times out of order, or key frames of which some have labels and some
            have none.
    """
    writer = _Writer(Path(root), version, homogeneous(np.eye(3) if lidar_to_vehicle is None else lidar_to_vehicle))
    for name, frames in scenes.items() if isinstance(scenes, Mapping) else scenes:
        keys = [True] * len(frames) if key_frames is None else list(key_frames[name])
        writer.scene(name, frames, keys)
    writer.finish()


def _token(*words: object) -> str:
    return hashlib.md5("/".join(map(str, words)).encode(), usedforsecurity=False).hexdigest()


class _Writer:
    def __init__(self, root: Path, version: str, mounting: NDArray[np.float64]) -> None:
        self.root, self.version, self.mounting = root, version, mounting
        self.tables: dict[str, _Records] = defaultdict(list)
        # From the axes of nuScenes' LiDAR, x right, to the vehicle's.
        turned = mounting[:3, :3] @ FROM_RIGHTWARD
        self.tables["sensor"] = [{"token": _token("sensor"), "channel": CHANNEL, "modality": "lidar"}]
        self.tables["calibrated_sensor"] = [
            {
                "token": _token("mounting"),
                "sensor_token": _token("sensor"),
                "translation": mounting[:3, 3].tolist(),
                "rotation": quaternion_from_matrix(turned).tolist(),
                "camera_intrinsic": [],
            }
        ]
        self.tables["category"] = [
            {"token": _token("category", name), "name": name, "description": "", "index": number}
            for number, name in LABEL_NAMES.items()
        ]

    def scene(self, name: str, frames: Sequence[LidarFrame], keys: Sequence[bool]) -> None:
        path = self.root / "samples" / CHANNEL
        times = [frame.time for frame in frames]
        if len(keys) != len(frames) or not frames or not any(keys):
            raise DataFileError(f"{path}: scene {name} needs sweeps, a key frame, and a flag for each sweep.", path)
        if any(frame.time is None or frame.pose is None or frame.columns != COLUMNS for frame in frames):
            raise DataFileError(
                f"{path}: sweeps of {name} need a time, a pose and the columns {', '.join(COLUMNS)}.", path
            )
        stamps = [round(time * 1e6) for time in times if time is not None]
        if sorted(set(stamps)) != stamps:
            raise DataFileError(f"{path}: sweeps of {name} must be in order of time, no two at once.", path)
        # A sweep belongs to the key frame that it leads up to, those behind the last to the last.
        last = max(row for row, key in enumerate(keys) if key)
        owners = [next((o for o in range(row, len(keys)) if keys[o]), last) for row in range(len(frames))]
        for row, frame in enumerate(frames):
            self._sweep(name, row, len(frames), stamps[row], frame, keys[row], _token(name, "sample", owners[row]))
        rows = [row for row, key in enumerate(keys) if key]
        samples = [_token(name, "sample", row) for row in rows]
        self.tables["sample"] += [
            {
                "token": token,
                "timestamp": stamps[row],
                "scene_token": _token("scene", name),
                **_neighbours(samples, place),
            }
            for place, (token, row) in enumerate(zip(samples, rows, strict=True))
        ]
        self._annotations(name, [frames[row] for row in rows], samples)
        self.tables["scene"].append(
            {
                "token": _token("scene", name),
                "name": name,
                "description": "",
                "log_token": _token("log"),
                "nbr_samples": len(samples),
                "first_sample_token": samples[0],
                "last_sample_token": samples[-1],
            }
        )

    def _sweep(self, name: str, row: int, count: int, stamp: int, frame: LidarFrame, key: bool, sample: str) -> None:
        check_frame(frame)
        filename = f"{'samples' if key else 'sweeps'}/{CHANNEL}/{name}__{CHANNEL}__{stamp}.pcd.bin"
        points = np.ascontiguousarray(frame.points, dtype="<f4").copy()
        points[:, :3] = to_rightward(points[:, :3])
        write_atomically(self.root / filename, points.tobytes())
        pose = frame.pose @ np.linalg.inv(self.mounting)  # type: ignore[operator]  # scene() checked it
        self.tables["ego_pose"].append(
            {
                "token": _token(name, "pose", row),
                "timestamp": stamp,
                "translation": pose[:3, 3].tolist(),
                "rotation": quaternion_from_matrix(pose[:3, :3]).tolist(),
            }
        )
        tokens = [_token(name, "sweep", other) for other in range(count)]
        self.tables["sample_data"].append(
            {
                "token": tokens[row],
                "sample_token": sample,
                "ego_pose_token": _token(name, "pose", row),
                "calibrated_sensor_token": _token("mounting"),
                "timestamp": stamp,
                "fileformat": "pcd",
                "is_key_frame": bool(key),
                "height": 0,
                "width": 0,
                "filename": filename,
                **_neighbours(tokens, row),
            }
        )
        if key and frame.labels is not None:
            path = self.root / "lidarseg" / self.version / f"{tokens[row]}_lidarseg.bin"
            check_known(frame.labels, LABEL_NAMES, path)
            write_atomically(path, frame.labels.astype(np.uint8).tobytes())
            self.tables["lidarseg"].append(
                {
                    "token": tokens[row],
                    "sample_data_token": tokens[row],
                    "filename": f"lidarseg/{self.version}/{path.name}",
                }
            )

    def _annotations(self, name: str, frames: Sequence[LidarFrame], samples: Sequence[str]) -> None:
        # In the order of each frame's boxes, in which they are read again.
        rows: _Records = []
        seen: dict[str, _Records] = defaultdict(list)
        categories: dict[str, str] = {}
        for place, (frame, sample) in enumerate(zip(frames, samples, strict=True)):
            if frame.boxes is None or frame.pose is None:
                continue
            inside = frame.boxes.count_points(frame.points)
            for row, category in enumerate(frame.boxes.names):
                identity = frame.boxes.identities[row] if frame.boxes.identities else f"{place} {row}"
                c, s = np.cos(frame.boxes.yaw[row]), np.sin(frame.boxes.yaw[row])
                motion = homogeneous(np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]))
                motion[:3, 3] = frame.boxes.centers[row]
                world = frame.pose @ motion
                record = {
                    "token": _token(name, "box", place, row),
                    "sample_token": sample,
                    "instance_token": _token(name, "object", identity),
                    "visibility_token": "1",
                    "attribute_tokens": self._attribute(frame.boxes, row),
                    "translation": world[:3, 3].tolist(),
                    "size": frame.boxes.sizes[row][[1, 0, 2]].tolist(),
                    "rotation": quaternion_from_matrix(world[:3, :3]).tolist(),
                    "num_lidar_pts": int(inside[row]),
                    "num_radar_pts": 0,
                }
                rows.append(record)
                seen[identity].append(record)
                categories.setdefault(identity, category)
        for identity, records in seen.items():
            self._object(categories[identity], records)
        self.tables["sample_annotation"] += rows

    def _attribute(self, boxes: Boxes, row: int) -> list[str]:
        name = boxes.attributes[row] if boxes.attributes else ""
        if not name:
            return []
        record = {"token": _token("attribute", name), "name": name, "description": ""}
        if record not in self.tables["attribute"]:
            self.tables["attribute"].append(record)
        return [record["token"]]

    def _object(self, category: str, records: _Records) -> None:
        """Chains the annotations of one object, and adds its record."""
        tokens = [record["token"] for record in records]
        known = {record["token"] for record in self.tables["category"]}
        if _token("category", category) not in known:
            self.tables["category"].append({"token": _token("category", category), "name": category, "description": ""})
        self.tables["instance"].append(
            {
                "token": records[0]["instance_token"],
                "category_token": _token("category", category),
                "nbr_annotations": len(records),
                "first_annotation_token": tokens[0],
                "last_annotation_token": tokens[-1],
            }
        )
        for place, record in enumerate(records):
            record.update(_neighbours(tokens, place))

    def finish(self) -> None:
        folder = self.root / self.version
        keys = sum(record["is_key_frame"] for record in self.tables["sample_data"])
        if len(self.tables["lidarseg"]) not in (0, keys):
            raise DataFileError(f"{folder}: {len(self.tables['lidarseg'])} of {keys} key frames have labels.", folder)
        if not self.tables["lidarseg"]:
            del self.tables["lidarseg"]
        for name in ("instance", "sample_annotation", "attribute"):
            self.tables.setdefault(name, [])
        self.tables["visibility"] = [{"token": "1", "level": "unknown", "description": ""}]
        self.tables["log"] = [
            {"token": _token("log"), "logfile": "", "vehicle": "", "date_captured": "", "location": ""}
        ]
        mask = f"maps/{_token('map')}.png"
        self.tables["map"] = [
            {"token": _token("map"), "log_tokens": [_token("log")], "category": "semantic_prior", "filename": mask}
        ]
        write_atomically(self.root / mask, _black_png(100))
        for name, records in self.tables.items():
            write_atomically(folder / f"{name}.json", json.dumps(records, indent=1).encode())


def _neighbours(tokens: Sequence[str], place: int) -> dict[str, str]:
    return {
        "prev": tokens[place - 1] if place else "",
        "next": tokens[place + 1] if place + 1 < len(tokens) else "",
    }


def _black_png(width: int) -> bytes:
    """A square picture in shades of grey, all 0."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, width, 8, 0, 0, 0, 0)
    # Each row begins with the number of its filter, 0 for none.
    rows = bytes(width * (1 + width))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
