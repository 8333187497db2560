"""Pre-flight: reads every cloud of a folder once, says what is wrong, and what data sets hold."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from spikevox.tasks.datasets.layout import Layout, find_layouts
from spikevox.tasks.datasets.nuscenes import NuScenes
from spikevox.tasks.datasets.points import read_points
from spikevox.tasks.datasets.statistic import Statistic
from spikevox.tasks.errors import DataFileError

_FORMATS = (".npy", ".npz", ".txt", ".xyz", ".csv", ".bin", ".ply", ".off")


class FolderReport(NamedTuple):
    """What a folder holds.

    Attributes:
        findings: a line for each fault, with the path of its file.
        files: clouds and frames that were read.
        lines: class histograms and box statistics of the data sets, to be shown.
    """

    findings: list[str]
    files: int
    lines: list[str]


def check_folder(folder: str | Path) -> FolderReport:
    """Reads every cloud of a folder once.

    KITTI, SemanticKITTI, PandaSet and nuScenes are known by their layout, in the folder or below it; every other file that
    has the ending of a cloud is read by itself.

    Raises:
        DataFileError: the folder is not there or holds no cloud.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataFileError(f"{root} is no folder.", root)
    layouts = find_layouts(root)
    owned = {layout.folder for layout in layouts}
    files = [
        path for path in sorted(root.rglob("*")) if path.suffix.lower() in _FORMATS and not owned & {*path.parents}
    ]
    if not files and not layouts:
        raise DataFileError(f"{root} holds no cloud; known formats are {', '.join(_FORMATS)}.", root)
    reports = [_check_layout(layout) for layout in layouts]
    reports.append(FolderReport([finding for path in files if (finding := _check(path))], len(files), []))
    return FolderReport(
        [finding for report in reports for finding in report.findings],
        sum(report.files for report in reports),
        [line for report in reports for line in report.lines],
    )


def _check(path: Path) -> str | None:
    try:
        points = read_points(path).points
    except DataFileError as error:
        return str(error)
    if len(points) == 0:
        return f"{path} holds no points."
    wrong = int((~np.isfinite(points)).any(axis=1).sum())
    return f"{path}: {wrong} of {len(points)} points have NaN or infinite values." if wrong else None


def _check_layout(layout: Layout) -> FolderReport:
    try:
        data = layout.open()
    except DataFileError as error:
        return FolderReport([str(error)], 0, [])
    findings = data.strays()
    statistic = Statistic(data.label_names)
    for index in range(len(data)):
        try:
            statistic.add(data.frame(index))
        except DataFileError as error:
            findings.append(str(error))
    # What lies between key frames is read when sweeps are joined.
    sweeps = data.sweep_files() if isinstance(data, NuScenes) else []
    findings += [finding for path in sweeps if (finding := _check(path))]
    good = f"{data.name} in {layout.folder}: {statistic.frames} of {len(data)} frames good, {statistic.points} points"
    return FolderReport(findings, len(data) + len(sweeps), [good, *statistic.lines()])
