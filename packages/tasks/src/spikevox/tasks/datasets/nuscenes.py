"""nuScenes: key frames of LIDAR_TOP with boxes, earlier sweeps joined by the vehicle's motion (nuscenes.org)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.axes import forward_pose, move, to_forward
from spikevox.tasks.datasets.base import data_folder
from spikevox.tasks.datasets.frame import Boxes, LidarFrame, check_frame
from spikevox.tasks.datasets.lidar_file import check_known, pick, strays
from spikevox.tasks.datasets.nuscenes_label import LABEL_NAMES
from spikevox.tasks.datasets.nuscenes_table import FIELDS, OPTIONAL, Table
from spikevox.tasks.datasets.points import read_points
from spikevox.tasks.errors import ConfigError, DataFileError

CHANNEL = "LIDAR_TOP"
COLUMNS = ("x", "y", "z", "intensity", "ring")
# Velocities come from annotations at most this far apart, as in nuScenes' own tools.
_LONGEST = 1.5
_Record = Mapping[str, Any]


class NuScenes:
    """Key frames of nuScenes.

    Args:
        root: folder with ``v1.0-*``, ``samples`` and ``sweeps``; ``nuscenes`` in the data folder by default.
        version: such as ``"v1.0-trainval"``; the only one that is there by default.
        scenes: names such as ``("scene-0103",)``; all by default.
        sweeps: how many sweeps a frame joins, itself and those before it; fewer at the beginning of a scene. With more than
            one, points have a column ``time``: seconds that they are older than the frame.

    Attributes:
        frames: token of each key frame, in order of scene and time.

    Raises:
        ConfigError: fewer than one sweep, several versions to choose from, or an unknown scene.
        DataFileError: a table that is missing, truncated, or refers to records that are not there.
    """

    label_names: Mapping[int, str] = LABEL_NAMES

    def __init__(
        self,
        root: str | Path | None = None,
        version: str | None = None,
        *,
        scenes: Sequence[str] | None = None,
        sweeps: int = 1,
    ) -> None:
        if sweeps < 1:
            raise ConfigError(f"sweeps counts the frame itself and is at least 1, got {sweeps}.")
        self.root = data_folder("nuscenes") if root is None else Path(root)
        self.version, self.sweeps = _version(self.root, version), sweeps
        self.name = f"nuScenes {self.version}"
        folder = self.root / self.version
        self._tables = {name: Table(folder / f"{name}.json") for name in FIELDS if name not in OPTIONAL}
        attributes = folder / "attribute.json"
        self._attributes = Table(attributes) if attributes.is_file() else None
        self._lidarseg: dict[str, str] | None = None
        if (folder / "lidarseg.json").is_file():
            records = Table(folder / "lidarseg.json").rows.values()
            self._lidarseg = {record["sample_data_token"]: record["filename"] for record in records}
        self._scans = {
            token: record for token, record in self._tables["sample_data"].rows.items() if self._is_lidar(record)
        }
        self._key = {record["sample_token"]: token for token, record in self._scans.items() if record["is_key_frame"]}
        self._annotations: dict[str, list[str]] = defaultdict(list)
        for token, record in self._tables["sample_annotation"].rows.items():
            self._annotations[record["sample_token"]].append(token)
        self.frames = self._chosen(scenes)

    def _is_lidar(self, record: _Record) -> bool:
        mounted = self._tables["calibrated_sensor"][record["calibrated_sensor_token"]]
        return bool(self._tables["sensor"][mounted["sensor_token"]]["channel"] == CHANNEL)

    def _chosen(self, scenes: Sequence[str] | None) -> tuple[str, ...]:
        names = {token: record["name"] for token, record in self._tables["scene"].rows.items()}
        unknown = sorted(set(scenes or ()) - set(names.values()))
        if unknown:
            raise ConfigError(f"{self.root / self.version} has no scene {unknown[0]!r}; it has {len(names)} scenes.")
        samples = self._tables["sample"]
        for record in samples.rows.values():
            self._tables["scene"][record["scene_token"]]
        order = sorted(samples.rows, key=lambda t: (names[samples[t]["scene_token"]], samples[t]["timestamp"]))
        chosen = [token for token in order if scenes is None or names[samples[token]["scene_token"]] in scenes]
        missing = [token for token in chosen if token not in self._key]
        if missing:
            path = self._tables["sample_data"].path
            raise DataFileError(
                f"{path}: {len(missing)} samples have no key frame of {CHANNEL}, first {missing[0]}.", path
            )
        return tuple(chosen)

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, index: int) -> LidarFrame:
        """Points x, y, z, intensity, ring, and time where sweeps are joined; boxes with velocities; lidarseg's labels.

        Coordinates are those of the LiDAR turned about its vertical axis: x forward, y left. Names of boxes are nuScenes'
        categories. Points of earlier sweeps have the label -1.

        Raises:
            DataFileError: a file that is missing, truncated, empty or of another form, or label numbers that lidarseg does
                not define.
        """
        sample = pick(index, self.frames)
        token = self._key[sample]
        record = self._scans[token]
        pose = self._pose(record)
        parts = [self._read(record)]
        labels = self._labels(token, len(parts[0]))
        if self.sweeps > 1:
            lags = [0.0]
            for earlier in self._before(record):
                points = self._read(earlier)
                # float64 until the frame's own coordinates: those of the world are kilometres.
                points[:, :3] = move(points, np.linalg.inv(pose) @ self._pose(earlier))
                parts.append(points)
                lags.append((record["timestamp"] - earlier["timestamp"]) / 1e6)
            parts = [np.column_stack([p, np.full(len(p), lag, np.float32)]) for p, lag in zip(parts, lags, strict=True)]
            if labels is not None:
                older = sum(len(part) for part in parts[1:])
                labels = np.concatenate([labels, np.full(older, -1, dtype=np.int64)])
        columns = COLUMNS if self.sweeps == 1 else (*COLUMNS, "time")
        source = str(self.root / record["filename"])
        boxes = self._boxes(sample, pose)
        return check_frame(
            LidarFrame(np.concatenate(parts), columns, source, labels, None, boxes, pose, record["timestamp"] / 1e6)
        )

    def box_names(self, index: int) -> tuple[str, ...]:
        """Names of a frame's boxes, from the tables alone."""
        return self._names(self._annotations.get(pick(index, self.frames), []))

    def _names(self, tokens: Sequence[str]) -> tuple[str, ...]:
        instances, table = self._tables["instance"], self._tables["sample_annotation"]
        categories = [instances[table[token]["instance_token"]]["category_token"] for token in tokens]
        return tuple(str(self._tables["category"][category]["name"]) for category in categories)

    def vehicle(self, index: int) -> NDArray[np.float64]:
        """(3,) the vehicle's place in the world, from which ranges are measured in evaluation."""
        record = self._scans[self._key[pick(index, self.frames)]]
        place: NDArray[np.float64] = self._tables["ego_pose"].motion(record["ego_pose_token"])[:3, 3]
        return place

    def _read(self, record: _Record) -> NDArray[np.float32]:
        points = read_points(self.root / record["filename"]).points
        points[:, :3] = to_forward(points[:, :3])
        return points

    def _pose(self, record: _Record) -> NDArray[np.float64]:
        mounting = self._tables["calibrated_sensor"].motion(record["calibrated_sensor_token"])
        whole = self._tables["ego_pose"].motion(record["ego_pose_token"]) @ mounting
        return forward_pose(whole[:3, :3], whole[:3, 3])

    def _before(self, record: _Record) -> Iterator[_Record]:
        for _ in range(self.sweeps - 1):
            if not record["prev"]:
                return
            record = self._tables["sample_data"][record["prev"]]
            yield record

    def _labels(self, token: str, count: int) -> NDArray[np.int64] | None:
        if self._lidarseg is None:
            return None
        if token not in self._lidarseg:
            path = self.root / self.version / "lidarseg.json"
            raise DataFileError(f"{path} has no labels for {self._scans[token]['filename']}.", path)
        path = self.root / self._lidarseg[token]
        if not path.is_file():
            raise DataFileError(f"{path} is not there.", path)
        labels = np.fromfile(path, dtype=np.uint8).astype(np.int64)
        if len(labels) != count:
            raise DataFileError(f"{path} has {len(labels)} labels and its scan {count} points.", path)
        check_known(labels, LABEL_NAMES, path)
        return labels

    def _boxes(self, sample: str, pose: NDArray[np.float64]) -> Boxes:
        table, to_frame = self._tables["sample_annotation"], np.linalg.inv(pose)
        tokens = self._annotations.get(sample, [])
        motions = np.array([to_frame @ table.motion(token) for token in tokens]).reshape(-1, 4, 4)
        identities = tuple(str(table[token]["instance_token"]) for token in tokens)
        velocities = np.array([self._velocity(token) for token in tokens]).reshape(-1, 3) @ to_frame[:3, :3].T
        return Boxes(
            motions[:, :3, 3],
            # Theirs is width, length, height.
            np.array([table[token]["size"] for token in tokens], dtype=np.float64).reshape(-1, 3)[:, [1, 0, 2]],
            np.arctan2(motions[:, 1, 0], motions[:, 0, 0]),
            self._names(tokens),
            identities,
            velocities[:, :2],
            attributes=None if self._attributes is None else tuple(self._attribute(table[token]) for token in tokens),
            point_counts=_point_counts([table[token] for token in tokens]),
        )

    def _attribute(self, record: _Record) -> str:
        """What an object is doing, empty where it is not told."""
        tokens = record.get("attribute_tokens") or [""]
        return str(self._attributes[tokens[0]]["name"]) if tokens[0] and self._attributes is not None else ""

    def _velocity(self, token: str) -> NDArray[np.float64]:
        """(3,) m/s in the world, from the annotation before to the one after; NaN where both are too far or absent."""
        table = self._tables["sample_annotation"]
        record = table[token]
        ends = [table[record[side] or token] for side in ("prev", "next")]
        first, last = (self._tables["sample"][end["sample_token"]]["timestamp"] / 1e6 for end in ends)
        longest = _LONGEST * (2 if record["prev"] and record["next"] else 1)
        if not 0 < last - first <= longest:
            return np.full(3, np.nan)
        moved: NDArray[np.float64] = np.subtract(ends[1]["translation"], ends[0]["translation"], dtype=np.float64)
        return moved / (last - first)

    def sweep_files(self) -> list[Path]:
        """Files of the sweeps between key frames."""
        return sorted(self.root / r["filename"] for r in self._scans.values() if not r["is_key_frame"])

    def strays(self) -> list[str]:
        """A line for each scan that the tables do not list."""
        known = {Path(record["filename"]).name.removesuffix(".pcd.bin") for record in self._scans.values()}
        table = self._tables["sample_data"].path
        folders = [self.root / part / CHANNEL for part in ("samples", "sweeps")]
        return [line for folder in folders for line in strays(folder, ".pcd.bin", known, table)]


def _point_counts(records: Sequence[_Record]) -> NDArray[np.int64] | None:
    """(B,) points of LiDAR and radar in each box; ``None`` where the tables do not tell."""
    fields = ("num_lidar_pts", "num_radar_pts")
    if any(field not in record for record in records for field in fields):
        return None
    return np.array([sum(record[field] for field in fields) for record in records], dtype=np.int64)


def _version(root: Path, version: str | None) -> str:
    present = sorted(path.parent.name for path in root.glob("v1.0-*/sample.json"))
    if version is None and len(present) > 1:
        raise ConfigError(f"{root} holds {', '.join(present)}; name one of them as version.")
    if not present or (version is not None and version not in present):
        raise DataFileError(f"{root} has no folder {version or 'v1.0-*'} with sample.json.", root)
    return version or present[0]
