"""Every experiment builds, and trains two steps where its data is at hand."""

import pickle
from pathlib import Path

import pytest

from spikevox.tasks.config import load_config
from spikevox.tasks.datasets import make_streets
from spikevox.tasks.runner import build_runner

APPS = Path(__file__).resolve().parents[2] / "apps"
# The experiments on ModelNet40 have their own tests.
CONFIGS = sorted(path for path in APPS.glob("*/*.py") if not path.name.startswith("classify_40"))
NEEDS = {"modelnet": "modelnet10", "pandaset": "pandaset", "semantickitti": "semantickitti"}
# Experiments on a layout, tried on generated streets, with what names the folder's parts.
MADE = {"kitti": [], "nuscenes": ["train_scenes=['scene-0000']", "test_scenes=['scene-0001']"]}
SMALL = ["train_frames=['000000']", "test_frames=['000001']"]
PARTS = {
    "kitti/detect_small": [*SMALL, "train_dataloader.dataset.frames.readers.0.count=1"],
    "kitti/detect_small_real": SMALL,
}

# First losses of a fresh VoxelNeXt: absolute differences of eight codes are summed, and of groups of classes that the frame has
# no object of all background counts whole.
LARGEST = {"synthetic/detect_voxelnext": 12, "nuscenes/detect": 200}


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Folder of generated streets in a data set's layout, made once."""
    root = tmp_path_factory.mktemp("data")

    def make(layout):
        if not (root / layout).exists():
            make_streets(root / layout, layout, streets=2, sweeps=11 if layout == "nuscenes" else 4)
        return root

    return make


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: f"{p.parent.name}/{p.stem}")
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")
def test_a_config_trains_two_steps(path, data, made, tmp_path, monkeypatch):
    if path.parent.name in NEEDS:
        data(NEEDS[path.parent.name])
    overrides = ["train_cfg.max_epochs=1", "param_scheduler=[]"]
    if path.parent.name in MADE:
        monkeypatch.setenv("SPIKEVOX_DATA", str(made(path.parent.name)))
        overrides += [*MADE[path.parent.name], *PARTS.get(f"{path.parent.name}/{path.stem}", [])]
    if path.stem.startswith("detect"):
        # Without the warm-up the first step at full rate lets thousands of anchors fire, which few objects then pay for.
        overrides += ["train_dataloader.batch_size=1", "optim_wrapper.optimizer.lr=1e-4"]
        if path.parent.name == "nuscenes":
            overrides += ["train_dataloader.dataset.frames.sweeps=2"]
        if path.parent.name == "synthetic":
            overrides += ["train_dataloader.dataset.frames.count=2", "val_dataloader.dataset.frames.count=1"]
    if path.stem == "classify":
        overrides += ["train_dataloader.dataset.count=64", "val_dataloader.dataset.count=20"]
    config = load_config(path, overrides)
    # Starting one takes longer than two steps; what it would be sent is looked at here.
    config["train_dataloader"].pop("num_workers", None)
    runner = build_runner(config, tmp_path / "run")
    pickle.dumps(runner.train_dataloader.dataset)
    batches = iter(runner.train_dataloader)
    optimiser = runner.build_optim_wrapper(runner.optim_wrapper)
    losses = [float(runner.model.train_step(next(batches), optimiser)["loss"].detach()) for _ in range(2)]
    assert all(0.5 < loss < LARGEST.get(f"{path.parent.name}/{path.stem}", 5) for loss in losses)
