"""Frames drawn so that each class is the reason for equally many, and objects cut out by the command."""

from collections import Counter

import numpy as np
import pytest

from spikevox.tasks import cli
from spikevox.tasks.datasets import Boxes, DetectionDataset, LidarFrame, ObjectBank, balanced_rows
from spikevox.tasks.errors import ConfigError

GRID = {"voxel_size": 1.0, "lower": (-8, -8, -2), "upper": (8, 8, 2)}


def test_each_class_draws_an_equal_part_from_its_own_frames():
    """Nine frames of cars, one of them with a bus, one of nothing: ten reasons, five a class."""
    names = [{"car"}] * 8 + [{"car", "bus"}, set()]
    rows = balanced_rows(names, ["car", "bus", "tram"], np.random.default_rng(0))
    assert len(rows) == 10
    assert rows[5:] == [8] * 5
    assert all(row < 9 for row in rows[:5])
    drawn = Counter(row for seed in range(300) for row in balanced_rows(names, ["car"], np.random.default_rng(seed)))
    assert set(drawn) == set(range(9))
    # 2,700 draws, 300 a frame, give or take four standard deviations.
    assert max(abs(count - 300) for count in drawn.values()) < 4 * (300 * 8 / 9) ** 0.5
    assert balanced_rows([set(), set()], ["car"], np.random.default_rng(0)) == []


class Frames:
    """Ten frames of two points; the last has a bus beside its car. Reads are counted."""

    name = "frames"
    label_names = {}  # noqa: RUF012

    def __init__(self):
        self.frames = tuple(map(str, range(10)))
        self.read = 0

    def __len__(self):
        return 10

    def frame(self, index):
        self.read += 1
        names = ("car", "bus") if index == 9 else ("car",)
        middles = np.array([[2.0 + index / 10, 0, 0], [-4, 0, 0]])[: len(names)]
        boxes = Boxes(middles, np.full((len(names), 3), 2.0), np.zeros(len(names)), names)
        points = np.array([[2.0 + index / 10, 0, 0, 0.5], [-4, 0, 0, 0.25]], dtype=np.float32)
        return LidarFrame(points, ("x", "y", "z", "intensity"), self.frames[index], boxes=boxes)


class Told(Frames):
    def box_names(self, index):
        return ("car", "bus") if index == 9 else ("car",)


def dataset(frames, **options):
    return DetectionDataset(frames, classes={"car": ["car"], "bus": ["bus"]}, grid=GRID, features=("xyz",), **options)


def test_a_data_set_draws_its_frames_anew_and_cuts_each_object_once():
    data = dataset(Frames(), balanced=True)
    # Eleven reasons in all: five for each class.
    assert len(data) == 10
    assert data.indices[5:] == [9] * 5
    assert data.indices == dataset(Frames(), balanced=True).indices
    assert data.cloud(9).boxes.names == ("car", "bus")
    bank = data.cut_objects()
    assert len(bank.of_class("bus")) == 1
    assert len(bank.of_class("car")) == len(set(data.indices))
    part = dataset(Frames(), balanced=True, indices=[0, 9])
    assert set(part.indices) <= {0, 9}


def test_a_reader_that_tells_names_is_not_read():
    told = Told()
    assert dataset(told, balanced=True).indices == dataset(Frames(), balanced=True).indices
    assert told.read == 0


CONFIG = """
from spikevox.layers.backbones import BevBackbone, Voxel8x
from spikevox.tasks.datasets import DetectionDataset, StreetFrames
from spikevox.tasks.detection import AnchorHead, SingleStageDetector
from torch.optim import AdamW
from mmengine.optim import OptimWrapper

grid = dict(voxel_size=(0.2, 0.2, 0.2), lower=(-16, -16, -3.4), upper=(16, 16, 1.4))
model = dict(type=SingleStageDetector)
train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        type=DetectionDataset,
        frames=dict(type=StreetFrames, count=2, first_seed=5),
        classes=dict(car=["car", "van"], person=["pedestrian"]),
        columns=("x", "y", "z", "intensity"),
        features=("xyz",),
        grid=grid,
        paste=dict(counts=dict(car=3), bank="nowhere.npz"),
    ),
)
train_cfg = dict(max_epochs=1)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=AdamW, lr=1e-3))
randomness = dict(seed=0)
"""


def test_the_command_cuts_objects_out_of_training_frames(tmp_path, capsys):
    (tmp_path / "detect.py").write_text(CONFIG)
    out = tmp_path / "objects.npz"
    assert cli.main(["data", "objects", str(tmp_path / "detect.py"), str(out)]) == 0
    text = capsys.readouterr().out
    bank = ObjectBank.load(out)
    assert f"car: {len(bank.of_class('car'))} objects" in text
    assert len(bank.of_class("car")) > 3
    assert bank.columns == ("x", "y", "z", "intensity")
    assert cli.main(["data", "objects", str(tmp_path / "detect.py"), str(tmp_path / "objects.bin")]) != 0
    assert "objects are written as .npz" in capsys.readouterr().err
    shapes = "apps/synthetic/classify.py"
    assert cli.main(["data", "objects", shapes, str(tmp_path / "none.npz")]) != 0
    assert "learns no boxes" in capsys.readouterr().err
    assert not (tmp_path / "none.npz").exists()


def test_nuscenes_tells_names_from_its_tables(tmp_path):
    from spikevox.tasks.datasets import NuScenes, make_streets

    make_streets(tmp_path / "nuscenes", "nuscenes", streets=1, sweeps=1)
    reader = NuScenes(tmp_path / "nuscenes")
    assert len(reader.frame(0).boxes) > 3
    assert reader.box_names(0) == reader.frame(0).boxes.names
    with pytest.raises(IndexError):
        reader.box_names(1)
    with pytest.raises(ConfigError, match="indices names frame 30"):
        dataset(Frames(), balanced=True, indices=[30])
