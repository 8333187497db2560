"""Every command of the page on LiDAR folders runs, in order, on fewer sweeps and epochs, and makes what the page says."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from spikevox.tasks import cli
from spikevox.tasks.datasets import NuScenes
from spikevox.tasks.datasets.nuscenes_label import CLASSES, merge_lidarseg

PAGE = Path(__file__).resolve().parents[2] / "docs" / "lidar_tutorial.md"
SHORTER = {
    "--sweeps 11": "--sweeps 1",
    "train my_lidar/segment_streets.py --set epochs=8": "train my_lidar/segment_streets.py --set epochs=3",
}
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")


def commands():
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = "".join(blocks).replace("\\\n", " ")
    for long, short in SHORTER.items():
        assert text.count(long) == 1
        text = text.replace(long, short)
    return [shlex.split(line, comments=True) for line in text.splitlines() if line]


def mean_iou(predicted, truth):
    values = []
    for number in range(len(CLASSES)):
        said, is_so = predicted == number, (truth == number)
        if (said & (truth >= 0)).any() or is_so.any():
            values.append((said & is_so).sum() / ((said & (truth >= 0)) | is_so).sum())
    return float(np.mean(values))


def test_the_commands_lead_from_a_folder_to_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPIKEVOX_DATA", raising=False)
    said = {}
    for program, *words in commands():
        assert program == "spikevox"
        assert cli.main(words) == 0, words
        said[" ".join(words[:2] if words[0] in ("data", "apps") else words[:1])] = capsys.readouterr().out
    assert set(said) == {"data make", "data check", "apps copy", "train", "test", "predict"}

    assert "10 sweeps of 10 streets" in said["data make"]
    assert "10 files read, 0 with problems" in said["data check"]
    assert "17 vehicle.car" in said["data check"]
    lines = [json.loads(line) for line in Path("work_dirs/segment_streets/log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 3 * 5
    assert np.mean(losses[-5:]) < np.mean(losses[:5])

    figures = json.loads(Path("figures.json").read_text())
    assert f"mIoU {figures['miou']:.4f}" in said["test"]
    # What is predicted is what was scored: the mean IoU of the files is that of the test.
    data = NuScenes("data/nuscenes", scenes=["scene-0009"])
    (name,) = data.frames
    frame = data.frame(0)
    raw = np.fromfile(f"predictions/{name}.label", dtype="<u4")
    assert len(raw) == len(frame.points)
    truth = merge_lidarseg(frame.labels)
    assert figures["count"] == (truth >= 0).sum()
    assert mean_iou(merge_lidarseg(raw), truth) == pytest.approx(figures["miou"], abs=1e-9)
    assert image.imread(f"predictions/{name}.png").ndim == 3
    assert image.imread("figures/confusion.png").ndim == 3
    head = Path(f"predictions/{name}.ply").read_bytes()[:200]
    assert f"element vertex {len(raw)}".encode() in head
