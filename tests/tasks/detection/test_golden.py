"""Figures of the programs that others score with, see tools/make_golden.py."""

import json
import random
from pathlib import Path

import pytest

from oracles import kitti_loops, nuscenes_loops
from spikevox.tasks.detection import kitti_result, nuscenes_result
from tasks.detection.from_loops import boxes_of, kitti_label

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "detection.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("golden", GOLDEN["mmdet3d 1.4.0"], ids=lambda golden: str(golden["seed"]))
def test_kitti_figures_equal_those_of_mmdet3d(golden):
    frames = kitti_loops.random_frames(random.Random(golden["seed"]))
    result = kitti_result(*([[kitti_label(box) for box in frame[side]] for frame in frames] for side in (0, 1)))
    assert sum(row.boxes > 0 for row in result.rows) > 20
    for row in result.rows:
        if row.boxes:
            assert (row.r11, row.r40) == pytest.approx(golden[f"{row.name} {row.measure} {row.level}"], abs=1e-9)


@pytest.mark.parametrize("golden", GOLDEN["nuscenes-devkit 1.2.0"], ids=lambda golden: str(golden["seed"]))
def test_nuscenes_figures_equal_those_of_its_kit(golden):
    frames = nuscenes_loops.random_frames(random.Random(golden["seed"]))
    result = nuscenes_result(*([boxes_of(frame[side], truth=side == 0) for frame in frames] for side in (0, 1)))
    assert result.mean_ap == pytest.approx(golden["mean_ap"], abs=1e-9)
    assert result.errors == pytest.approx(golden["errors"], abs=1e-9)
    assert result.nds == pytest.approx(golden["nds"], abs=1e-9)
