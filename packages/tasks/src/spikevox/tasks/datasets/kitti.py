"""KITTI's object detection set: velodyne, label_2 and calib in training and testing (cvlibs.net/datasets/kitti)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from spikevox.tasks.atomic import write_atomically
from spikevox.tasks.datasets.base import check_split, data_folder
from spikevox.tasks.datasets.frame import LidarFrame, check_frame
from spikevox.tasks.datasets.kitti_calibration import (
    IMAGE_SIZE,
    KittiCalibration,
    image_size,
    in_view,
    read_calibration,
    write_calibration,
)
from spikevox.tasks.datasets.kitti_label import (
    KittiLabel,
    boxes_from_labels,
    labels_from_boxes,
    read_labels,
    write_labels,
)
from spikevox.tasks.datasets.lidar_file import pick, read_text, strays
from spikevox.tasks.datasets.points import read_points
from spikevox.tasks.errors import ConfigError, DataFileError

SPLITS = ("train", "val", "trainval", "test", "training", "testing")
COLUMNS = ("x", "y", "z", "intensity")


class KittiObjects:
    """Frames of KITTI's object set.

    Args:
        root: folder with ``training``, ``testing`` and ``ImageSets``; ``kitti`` in the data folder by default.
        split: ``"train"``, ``"val"``, ``"trainval"`` and ``"test"`` as ImageSets lists them; ``"training"`` and
            ``"testing"`` are all scans of a folder.
        crop: keep only the points that the left colour camera sees.
        present_only: leave out listed frames whose scan is not there; ``absent`` names them. Otherwise they are an error.
        names: of the frames to read, in this order; by default all of the split.

    Attributes:
        frames: names of the frames.
        absent: names that ImageSets lists and that have no scan.

    Raises:
        DataFileError: no folder, no list, or listed scans that are not there.
        ConfigError: a name that the split does not have.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        split: str = "train",
        *,
        crop: bool = False,
        present_only: bool = False,
        names: Sequence[str] | None = None,
    ) -> None:
        check_split(split, SPLITS)
        self.root = data_folder("kitti") if root is None else Path(root)
        self.split, self.crop = split, crop
        self.label_names: Mapping[int, str] = {}
        self.name = f"KITTI objects {split}"
        self.folder = self.root / ("testing" if split in ("test", "testing") else "training")
        present = {path.stem for path in (self.folder / "velodyne").glob("*.bin")}
        if not present:
            raise DataFileError(f"{self.folder / 'velodyne'} holds no scans (*.bin).", self.folder)
        listed = self._listed(present)
        if names is not None:
            strange = sorted(set(names) - set(listed))
            if strange:
                raise ConfigError(f"split {split!r} of {self.root} has no frame {strange[0]!r}.")
            listed = tuple(names)
        self.absent = tuple(name for name in listed if name not in present)
        if self.absent and not present_only:
            raise DataFileError(
                f"{self.folder}: {len(self.absent)} of {len(listed)} frames of split {split!r} have no scan, first "
                f"{self.absent[0]}. Bring them back, or pass present_only=True to leave them out.",
                self.folder / "velodyne" / f"{self.absent[0]}.bin",
            )
        self.frames = tuple(name for name in listed if name in present)

    def _listed(self, present: set[str]) -> tuple[str, ...]:
        if self.split in ("training", "testing"):
            return tuple(sorted(present))
        parts = ("train", "val") if self.split == "trainval" else (self.split,)
        lists = [read_text(self.root / "ImageSets" / f"{part}.txt").split() for part in parts]
        return tuple(sorted(name for part in lists for name in part))

    def __len__(self) -> int:
        return len(self.frames)

    def calibration(self, index: int) -> KittiCalibration:
        """Calibration of a frame."""
        return read_calibration(self.folder / "calib" / f"{pick(index, self.frames)}.txt")

    def labels(self, index: int) -> tuple[KittiLabel, ...] | None:
        """All label rows of a frame, DontCare among them; ``None`` in testing."""
        if self.folder.name == "testing":
            return None
        return read_labels(self.folder / "label_2" / f"{pick(index, self.frames)}.txt")

    def frame(self, index: int) -> LidarFrame:
        """Points (P, 4) x, y, z, intensity in LiDAR coordinates, with boxes in training.

        Raises:
            DataFileError: a file that is missing, truncated, empty or of another form, or values that are not finite.
        """
        name = pick(index, self.frames)
        points = read_points(self.folder / "velodyne" / f"{name}.bin").points
        labels, calibration = self.labels(index), self.calibration(index)
        boxes = None if labels is None else boxes_from_labels(labels, calibration)
        frame = check_frame(LidarFrame(points, COLUMNS, str(self.folder / "velodyne" / f"{name}.bin"), boxes=boxes))
        if not self.crop:
            return frame
        seen = in_view(points, calibration, image_size(self.folder, name))
        return check_frame(replace(frame, points=points[seen]))

    def strays(self) -> list[str]:
        """A line for each scan, label or calibration without its partners, and each list that names absent scans."""
        scans = self.folder / "velodyne"
        present = {path.stem for path in scans.glob("*.bin")}
        found = strays(scans, ".bin", present, self.folder / "calib")
        for part in ("label_2", "calib"):
            found += strays(self.folder / part, ".txt", present, scans)
        return found + [line for path in self._lists() if (line := _absent(path, present, scans))]

    def _lists(self) -> list[Path]:
        """The lists of ImageSets that name frames of this folder."""
        parts = ("test",) if self.folder.name == "testing" else ("train", "val", "trainval")
        paths = [self.root / "ImageSets" / f"{part}.txt" for part in parts]
        return [path for path in paths if path.is_file()]


def _absent(path: Path, present: set[str], scans: Path) -> str:
    """What a list says wrongly, empty where all of its scans are there."""
    names = read_text(path).split()
    absent = [name for name in names if name not in present]
    if not absent:
        return ""
    first = ", ".join(absent[:5])
    return (
        f"{path}: {len(absent)} of {len(names)} frames have no scan in {scans}, first {first}. "
        "Bring them back, or take them from the list."
    )


def write_kitti_frame(
    root: str | Path,
    name: str,
    frame: LidarFrame,
    calibration: KittiCalibration,
    *,
    labels: Sequence[KittiLabel] | None = None,
    split: str = "training",
    image_size: tuple[int, int] = IMAGE_SIZE,
) -> None:
    """Writes a frame as velodyne, calib and, where it has labels or boxes, label_2; reading it back is exact.

    Args:
        root: folder that holds or shall hold ``training`` and ``testing``.
        name: of the frame, six digits in KITTI.
        frame: points with the columns x, y, z, intensity.
        calibration: of the frame.
        labels: rows of the label file; made from the frame's boxes where not given.
        split: ``"training"`` or ``"testing"``.
        image_size: width and height in pixels, for rows made from boxes.

    Raises:
        ConfigError: another split.
        DataFileError: other columns, or a frame that :func:`spikevox.tasks.datasets.frame.check_frame` refuses.
    """
    check_split(split, ("training", "testing"))
    folder = Path(root) / split
    path = folder / "velodyne" / f"{name}.bin"
    if frame.columns != COLUMNS:
        raise DataFileError(f"{path}: expected the columns {', '.join(COLUMNS)}, got {', '.join(frame.columns)}.", path)
    check_frame(frame)
    if labels is None and frame.boxes is not None:
        labels = labels_from_boxes(frame.boxes, calibration, image_size)
    write_calibration(folder / "calib" / f"{name}.txt", calibration)
    if labels is not None:
        write_labels(folder / "label_2" / f"{name}.txt", labels)
    # The scan is written last: a frame counts as there when its scan is.
    write_atomically(path, np.ascontiguousarray(frame.points, dtype="<f4").tobytes())
