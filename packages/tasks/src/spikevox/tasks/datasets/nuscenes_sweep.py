"""Single annotated sweeps of nuScenes: a json file of boxes and poses beside its ``.pcd.bin``, as mmdetection3d keeps them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spikevox.tasks.datasets.axes import forward_pose, to_forward
from spikevox.tasks.datasets.base import data_folder
from spikevox.tasks.datasets.frame import Boxes, LidarFrame, check_frame
from spikevox.tasks.datasets.lidar_file import pick, read_text
from spikevox.tasks.datasets.nuscenes import COLUMNS
from spikevox.tasks.datasets.points import read_points
from spikevox.tasks.errors import DataFileError

# The name of boxes of categories that detection does not score, which these files do not tell apart.
OTHER = "other"


class NuScenesSweeps:
    """Every annotated sweep of a folder.

    Args:
        root: folder with the json files; ``nuscenes`` in the data folder by default.

    Attributes:
        frames: names of the json files, without their ending.

    Raises:
        DataFileError: a folder without json files.
    """

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = data_folder("nuscenes") if root is None else Path(root)
        self.name = "nuScenes sweeps"
        self.label_names: Mapping[int, str] = {}
        self.frames = tuple(sorted(path.stem for path in self.root.glob("*.json")))
        if not self.frames:
            raise DataFileError(f"{self.root} holds no sweeps (*.json).", self.root)

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, index: int) -> LidarFrame:
        """Points and boxes of one sweep; see :func:`read_annotated_sweep`."""
        return read_annotated_sweep(self.root / f"{pick(index, self.frames)}.json")

    def strays(self) -> list[str]:
        """A line for each scan that no json file names."""
        return [
            f"{path} has no json file; remove it or bring the file back."
            for path in sorted(self.root.glob("*.pcd.bin"))
            if not any(path.name.startswith((f"{name}__", f"{name}.")) for name in self.frames)
        ]


def read_annotated_sweep(path: str | Path) -> LidarFrame:
    """Points (P, 5) x, y, z, intensity, ring, with boxes, pose and time.

    Coordinates are those of the LiDAR turned about its vertical axis: x forward, y left. Boxes of
    categories that detection does not score are named ``other``.

    Raises:
        DataFileError: a file that is missing, truncated, empty or of another form.
    """
    path = Path(path)
    try:
        content = json.loads(read_text(path))
        data, names = content["data"], {v: k for k, v in content["metainfo"]["categories"].items()}
        names[-1] = OTHER
        scan = path.parent / data["lidar_points"]["lidar_path"]
        whole = np.array(data["ego2global"], dtype=np.float64) @ np.array(data["lidar_points"]["lidar2ego"], np.float64)
        boxes = _boxes(data["instances"], names)
        pose, time = forward_pose(whole[:3, :3], whole[:3, 3]), float(data["timestamp"])
    except DataFileError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataFileError(
            f"{path} is truncated or no annotated sweep ({type(error).__name__}: {error}).", path
        ) from error
    points = read_points(scan).points
    points[:, :3] = to_forward(points[:, :3])
    return check_frame(LidarFrame(points, COLUMNS, str(scan), None, None, boxes, pose, time))


def _boxes(instances: list[dict[str, Any]], names: Mapping[int, str]) -> Boxes:
    table = np.array([one["bbox_3d"] for one in instances], dtype=np.float64).reshape(-1, 7)
    speeds = np.array([one["velocity"] for one in instances], dtype=np.float64).reshape(-1, 2)
    return Boxes(
        to_forward(table[:, :3]).astype(np.float64),
        table[:, 3:6].copy(),
        # Their x axis is our -y axis.
        np.angle(np.exp(1j * (table[:, 6] - np.pi / 2))),
        tuple(names[one["bbox_label_3d"]] for one in instances),
        velocities=np.stack([speeds[:, 1], 0 - speeds[:, 0]], axis=1),
    )
