"""Folders of generated streets in the layouts of published data sets."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from spikevox.tasks.atomic import new_folder, write_atomically
from spikevox.tasks.datasets.frame import LidarFrame
from spikevox.tasks.datasets.kitti import write_kitti_frame
from spikevox.tasks.datasets.kitti_calibration import IMAGE_SIZE, KittiCalibration
from spikevox.tasks.datasets.kitti_label import labels_from_boxes
from spikevox.tasks.datasets.nuscenes_writer import write_nuscenes
from spikevox.tasks.datasets.pandaset_writer import write_pandaset
from spikevox.tasks.datasets.semantickitti import write_semantickitti
from spikevox.tasks.datasets.street.lidar import find_sensor
from spikevox.tasks.datasets.street.published import to_kitti, to_nuscenes, to_pandaset, to_semantickitti
from spikevox.tasks.datasets.street.scene import Street
from spikevox.tasks.errors import ConfigError

# nuScenes annotates two of its sweeps a second; ours come ten a second.
KEY_FRAME_STEP = 5
# Seconds from the beginning of a scene to that of the next.
SCENE_TIME = 60.0
# Middle of the LiDAR ahead of the rear axle, where nuScenes' vehicle has its origin, in metres.
_AHEAD = 0.94
# A camera like KITTI's left colour camera, 0.27 m ahead of the LiDAR and 0.08 m below it, with its axes along the LiDAR's.
_FOCAL = 720.0
KITTI_CALIBRATION = KittiCalibration(
    projections=np.array(
        [
            [[_FOCAL, 0, IMAGE_SIZE[0] / 2, _FOCAL * shift], [0, _FOCAL, IMAGE_SIZE[1] / 2, 0], [0, 0, 1, 0]]
            for shift in (0.0, -0.54, 0.06, -0.48)
        ]
    ),
    rectification=np.eye(3),
    lidar_to_camera=np.array([[0.0, -1, 0, 0], [0, 0, -1, -0.08], [1, 0, 0, -0.27]]),
    imu_to_lidar=np.array([[1.0, 0, 0, -0.81], [0, 1, 0, 0.32], [0, 0, 1, -0.8]]),
)


class MadeStreets(NamedTuple):
    """What was written.

    Attributes:
        folder: where.
        sweeps: how many.
        points: of all sweeps.
    """

    folder: Path
    sweeps: int
    points: int


class _Drives:
    """The sweeps of all streets, one after the other, counted."""

    def __init__(self, streets: list[Street], sweeps: int, progress: Callable[[int, int], None] | None) -> None:
        self.streets, self.sweeps, self.progress = streets, sweeps, progress
        self.done = self.points = 0

    def frames(self, street: Street) -> Iterator[LidarFrame]:
        for sweep in range(self.sweeps):
            frame = street.frame(sweep)
            yield frame
            self.done += 1
            self.points += len(frame.points)
            if self.progress is not None:
                self.progress(self.done, self.sweeps * len(self.streets))


def make_streets(
    out: str | Path,
    layout: str,
    *,
    streets: int = 4,
    sweeps: int = 10,
    seed: int = 0,
    sensor: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MadeStreets:
    """Writes generated streets as KITTI, SemanticKITTI, nuScenes or PandaSet lay out theirs; all of it appears, or nothing.

    Street number N, from 0, has the seed ``seed + N``. It is a sequence ``NN`` of SemanticKITTI, ``NNN`` of PandaSet and a
    scene ``scene-NNNN`` of nuScenes, of whose sweeps every fifth is a key frame. KITTI's frames are numbered through; the
    last fifth of the streets, at least one of several, are its ``val``, the others its ``train``. Objects that no ray met
    have no box. What each layout cannot hold is listed in docs/lidar_data.md.

    Args:
        out: folder that is not there yet, or empty.
        layout: ``"kitti"``, ``"semantickitti"``, ``"nuscenes"`` or ``"pandaset"``.
        streets: how many.
        sweeps: of each street, a tenth of a second apart.
        seed: of the first street.
        sensor: a name in SENSORS; that of the data set by default.
        progress: called with (sweeps done, sweeps in all).

    Raises:
        ConfigError: an unknown layout or sensor, a number of streets or sweeps or a seed that there cannot be, or a folder
            that holds something.
    """
    if layout not in _LAYOUTS:
        raise ConfigError(f"unknown layout {layout!r}; there are {', '.join(_LAYOUTS)}.")
    most = Street.most_sweeps()
    if streets < 1 or seed < 0 or not 1 <= sweeps <= most:
        raise ConfigError(
            f"expected streets from 1, a seed from 0 and 1 to {most} sweeps, after which a vehicle can have left its street, "
            f"got {streets}, {seed} and {sweeps}."
        )
    write, own_sensor = _LAYOUTS[layout]
    lidar = find_sensor(own_sensor if sensor is None else sensor)
    drives = _Drives([Street(seed + number, lidar=lidar) for number in range(streets)], sweeps, progress)
    with new_folder(out) as folder:
        write(folder, drives)
    return MadeStreets(Path(out), drives.done, drives.points)


def _write_kitti(folder: Path, drives: _Drives) -> None:
    names: list[list[str]] = []
    for street in drives.streets:
        names.append([])
        for frame in drives.frames(street):
            name = f"{drives.done:06d}"
            names[-1].append(name)
            made = to_kitti(frame)
            rows = labels_from_boxes(made.boxes, KITTI_CALIBRATION) if made.boxes is not None else ()
            # Only what the camera sees is labelled.
            seen = [row for row in rows if 0 <= row.truncated < 1]
            write_kitti_frame(folder, name, made, KITTI_CALIBRATION, labels=seen)
    count = len(names)
    first = count - (max(1, count // 5) if count > 1 else 0)
    for split, parts in (("train", names[:first]), ("val", names[first:]), ("trainval", names)):
        lines = "".join(f"{name}\n" for part in parts for name in part)
        write_atomically(folder / "ImageSets" / f"{split}.txt", lines.encode())


def _write_semantickitti(folder: Path, drives: _Drives) -> None:
    for number, street in enumerate(drives.streets):
        frames = list(drives.frames(street))
        write_semantickitti(folder, f"{number:02d}", [to_semantickitti(frame, frames[0]) for frame in frames])


def _write_nuscenes(folder: Path, drives: _Drives) -> None:
    lidar = drives.streets[0].lidar
    mounting = np.eye(4)
    mounting[[0, 2], 3] = _AHEAD, lidar.height
    names = [f"scene-{number:04d}" for number in range(len(drives.streets))]
    # nuScenes' own tools list scenes by the time of their beginning, and fail where two begin at once.
    scenes = (
        (name, [to_nuscenes(frame, lidar, SCENE_TIME * number) for frame in drives.frames(street)])
        for number, (name, street) in enumerate(zip(names, drives.streets, strict=True))
    )
    keys = [sweep % KEY_FRAME_STEP == 0 for sweep in range(drives.sweeps)]
    write_nuscenes(folder, scenes, key_frames=dict.fromkeys(names, keys), lidar_to_vehicle=mounting)


def _write_pandaset(folder: Path, drives: _Drives) -> None:
    for number, street in enumerate(drives.streets):
        write_pandaset(folder, f"{number:03d}", map(to_pandaset, drives.frames(street)))


# Name to what writes the layout and the sensor of the data set.
_LAYOUTS: Mapping[str, tuple[Callable[[Path, _Drives], None], str]] = MappingProxyType(
    {
        "kitti": (_write_kitti, "hdl64"),
        "semantickitti": (_write_semantickitti, "hdl64"),
        "nuscenes": (_write_nuscenes, "hdl32"),
        "pandaset": (_write_pandaset, "pandar64"),
    }
)
