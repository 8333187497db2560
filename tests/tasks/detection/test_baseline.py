import json

import numpy as np
import pytest

from spikevox.tasks import cli
from spikevox.tasks.build import build
from spikevox.tasks.datasets import DetectionDataset, LidarFrame
from spikevox.tasks.detection import SingleStageDetector, box_baseline
from spikevox.tasks.detection.baseline import random_settings
from spikevox.tasks.errors import ConfigError
from tasks.detection.toy_scene import box, labelled, scene

GRID = {"voxel_size": 0.2, "lower": (-20, -20, -4), "upper": (20, 20, 3)}


class Cars:
    """Frames of two cars each, of which all sides are seen, or those that face the sensor."""

    def __init__(self, seeds, shown="all", boxed=True):
        self.frames = tuple(f"{seed:02d}" for seed in seeds)
        self.seeds, self.shown, self.boxed = seeds, shown, boxed

    def __len__(self):
        return len(self.seeds)

    def frame(self, index):
        generator = np.random.default_rng(self.seeds[index])
        rows = [box(*place, yaw=generator.uniform(-3, 3)) for place in ((9, generator.uniform(-5, 5)), (-9, 0))]
        points = scene(rows, self.shown).astype(np.float32)
        return LidarFrame(points, ("x", "y", "z"), self.frames[index], boxes=labelled(rows) if self.boxed else None)


def options(**frames):
    return {"type": DetectionDataset, "frames": {"type": Cars, **frames}, "classes": {"car": ["car"]}, "grid": GRID}


def split(name, seeds, shown="all"):
    return build(options(seeds=seeds, shown=shown) | {"split": name})


def test_cars_that_are_seen_whole_are_all_found():
    result = box_baseline(split("train", [0, 1, 2]), split("test", [3, 4]), trials=3)
    assert result.frames == 3
    for form in result.forms.values():
        assert len(form.tried) == 3
        row = form.result.row("car", "bev", "moderate")
        assert (row.boxes, row.exact) == (4, 100.0)


def test_completed_boxes_are_better_where_few_sides_are_seen():
    result = box_baseline(split("train", range(4), "near"), split("test", range(4, 8), "near"), trials=2)
    fitted, completed = (result.figures()[form]["ap_bev"] for form in ("fitted", "completed"))
    assert completed > 90 > fitted


def test_the_settings_that_are_best_in_training_are_kept():
    result = box_baseline(split("train", range(3), "near"), split("test", [5]), trials=4, seed=1)
    drawn = random_settings(4, 1)
    for form in result.forms.values():
        assert form.settings == drawn[int(np.argmax(form.tried))]
    assert len(set(drawn)) == 4
    assert random_settings(4, 1) == drawn != random_settings(4, 2)


def test_frames_tried_are_the_first_of_the_training_split():
    train = split("train", range(3))
    assert box_baseline(train, split("test", [5]), frames=2, trials=1).frames == 2
    train.frames.boxed = False
    with pytest.raises(ConfigError, match="00 has no boxes"):
        box_baseline(train, split("test", [5]), trials=1)


def test_the_command_prints_what_groups_of_points_reach(monkeypatch, tmp_path, capsys):
    config = {
        "model": {"type": SingleStageDetector},
        "train_dataloader": {"dataset": options(seeds=range(2), shown="near")},
        "test_dataloader": {"dataset": options(seeds=[5], shown="near")},
    }
    monkeypatch.setattr("spikevox.tasks.config.load_config", lambda *_: config)
    assert cli.main(["baseline", "toy.py", "--json", str(tmp_path / "b.json")]) == 0
    figures = json.loads((tmp_path / "b.json").read_text())
    assert figures["completed"]["boxes"] == figures["frames_tried"] == 2
    assert figures["completed"]["ap_bev"] > figures["fitted"]["ap_bev"]
    assert len(figures["fitted"]["tried"]) == 20
    text = capsys.readouterr().out
    assert f"has AP from above {max(figures['completed']['tried']):.2f} on training frames" in text
