"""The classical yardstick: points above the ground in groups, boxes around these, settings drawn at random and tried."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikevox.tasks.datasets.detection import DetectionDataset
from spikevox.tasks.datasets.frame import Boxes, LidarFrame
from spikevox.tasks.detection.cluster_boxes import ClassSize, Standing, class_sizes, cluster_boxes, standing_groups
from spikevox.tasks.detection.clusters import ClusterSettings
from spikevox.tasks.detection.kitti_ap import KittiResult
from spikevox.tasks.detection.metric import box_result, mean_figures
from spikevox.tasks.detection.nuscenes_nds import NuScenesResult
from spikevox.tasks.detection.scoring import DetectionScorer, result_figures
from spikevox.tasks.errors import ConfigError

# Frames of the training split that settings are tried on, and how many settings.
FRAMES, TRIALS = 40, 20
FORMS = {"fitted": "boxes around the points", "completed": "boxes as large as their class's mean at least"}
# What random settings are drawn from.
_CHOICES: dict[str, tuple[Any, ...]] = {
    "window": (4.0, 6.0, 8.0, 12.0),
    "clearance": (0.15, 0.25, 0.35, 0.5),
    "ceiling": (2.0, 2.5, 3.0),
    "reach": (0.3, 0.45, 0.6, 0.8, 1.0),
    "neighbours": (3, 5, 10),
    "flat": (False, True),
    "criterion": ("area", "closeness"),
    "points_weight": (0.0, 0.3, 1.0, 3.0),
    "spread": (1.0, 2.0, 4.0),
}


class ClusterResult(NamedTuple):
    """What one form of boxes reaches.

    Attributes:
        settings: the best of those tried.
        tried: AP from above on the training frames, over every recall, of all settings.
        result: on the test split.
    """

    settings: ClusterSettings
    tried: tuple[float, ...]
    result: KittiResult | NuScenesResult


class BoxBaseline(NamedTuple):
    """What needs no network.

    Attributes:
        forms: result by form, see ``FORMS``.
        frames: number of training frames.
        split: what was scored.
    """

    forms: dict[str, ClusterResult]
    frames: int
    split: str

    def figures(self) -> dict[str, Any]:
        """Figures as JSON types."""
        parts = {
            form: {"settings": one.settings._asdict(), "tried": list(one.tried), **result_figures(one.result)}
            for form, one in self.forms.items()
        }
        return {**parts, "frames_tried": self.frames, "split": self.split}

    def table(self) -> str:
        """Figures as text."""
        lines = [f"{self.split}: groups of points, settings tried on {self.frames} training frames"]
        for form, (settings, tried, result) in self.forms.items():
            lines += [
                f"{form}, {FORMS[form]}: the best of {len(tried)} settings has AP from above {max(tried):.2f} on training "
                f"frames, the worst {min(tried):.2f}",
                "  " + ", ".join(f"{name} {value}" for name, value in settings._asdict().items()),
                result.table(),
            ]
        return "\n".join(lines)


def box_baseline(
    train: DetectionDataset, test: DetectionDataset, *, frames: int = FRAMES, trials: int = TRIALS, seed: int = 0
) -> BoxBaseline:
    """Scores, on the test split, of the settings that find most on frames of the training split.

    Args:
        train: training split; its transforms are not used. Sizes of the classes are those of its objects.
        test: test split.
        frames: most frames of the training split, its first ones.
        trials: settings tried.
        seed: of the settings.

    Raises:
        ConfigError: a class without objects in those frames, or a split without boxes.
    """
    known = [train.read(index) for index in range(min(frames, len(train)))]
    objects = [_objects(train, frame) for frame in known]
    sizes = class_sizes(objects, train.class_names)
    drawn = random_settings(trials, seed)
    tried: dict[str, list[float]] = {form: [] for form in FORMS}
    for settings in drawn:
        groups = [_groups(train, frame, settings) for frame in known]
        for form in FORMS:
            found = [_boxes(one, sizes, settings, form) for one in groups]
            tried[form].append(mean_figures(box_result(objects, found, train.min_overlap))["ap_bev"])
    best = {form: drawn[int(np.argmax(figures))] for form, figures in tried.items()}
    scorers = {form: DetectionScorer(test) for form in FORMS}
    for index in range(len(test)):
        frame = test.read(index)
        for form, scorer in scorers.items():
            scorer.add(index, frame, _boxes(_groups(test, frame, best[form]), sizes, best[form], form))
    forms = {form: ClusterResult(best[form], tuple(tried[form]), scorers[form].result()) for form in FORMS}
    return BoxBaseline(forms, len(known), f"{test.name}, split {test.split}")


def random_settings(count: int, seed: int) -> list[ClusterSettings]:
    """Settings drawn at random; the first are the defaults."""
    generator = np.random.default_rng(seed)
    drawn = [
        {name: values[generator.integers(len(values))] for name, values in _CHOICES.items()} for _ in range(count - 1)
    ]
    return [ClusterSettings(), *(ClusterSettings(**one) for one in drawn)]


def _groups(data: DetectionDataset, frame: LidarFrame, settings: ClusterSettings) -> list[Standing]:
    """Groups of the frame's points that lie in the range of the data set's grid."""
    xyz: NDArray[np.float64] = frame.points[:, :3].astype(np.float64)
    return standing_groups(xyz[data.pipeline.grid.inside(xyz)], settings)


def _boxes(groups: list[Standing], sizes: dict[str, ClassSize], settings: ClusterSettings, form: str) -> Boxes:
    return cluster_boxes(groups, sizes, settings, complete=form == "completed")


def _objects(data: DetectionDataset, frame: LidarFrame) -> Boxes:
    """The objects that count."""
    boxes = data.boxes(frame)
    if boxes is None:
        raise ConfigError(f"{frame.source} has no boxes: groups of points are tried on training frames that have them.")
    return data.visible(boxes, frame.points)
