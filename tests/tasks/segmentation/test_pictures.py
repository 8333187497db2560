"""Pictures of validations, read back from tensorboard's files."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from spikevox.tasks import build_runner, load_config
from spikevox.tasks.errors import ConfigError
from spikevox.tasks.schema import check_config
from spikevox.tasks.segmentation.pictures import ValidationPictures
from spikevox.tasks.view import class_colours
from tasks.segmentation.test_session import experiment
from tasks.segmentation.toy_dataset import ToyScenes
from tasks.test_training import TINY

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning")


def pictures(folder):
    """Steps and decoded pictures (height, width, 3) of each tag."""
    found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0}).Reload()
    return {
        tag: [(event.step, imread(io.BytesIO(event.encoded_image_string))[:, :, :3]) for event in found.Images(tag)]
        for tag in found.Tags()["images"]
    }


def train(folder, **options):
    config = experiment(epochs=3)
    config["val_dataloader"] |= options
    config["train_cfg"]["val_interval"] = 2
    build_runner(config, folder).train()
    return pictures(folder)


def test_every_validation_draws_its_first_two_clouds(tmp_path):
    found = train(tmp_path)
    assert sorted(found) == ["validation/from above 1", "validation/from above 2"]
    for drawn in found.values():
        # Two steps an epoch; validations after the second and the last.
        assert [step for step, _ in drawn] == [4, 6]
        for _, picture in drawn:
            colours = (picture * 255).round().reshape(-1, 3)
            assert all((np.abs(colours - c).max(axis=1) <= 1).sum() > 20 for c in class_colours(3))
    first, second = (drawn[-1][1] for drawn in found.values())
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 1), (9, 3)])
def test_there_are_as_many_as_asked_for_and_as_there_are_clouds(tmp_path, count, expected):
    # Batches of two: the third cloud is of another batch.
    assert len(train(tmp_path, pictures=count)) == expected


def test_without_a_validation_there_are_none(tmp_path):
    config = experiment(epochs=1)
    del config["val_dataloader"]
    build_runner(config, tmp_path).train()
    assert pictures(tmp_path) == {}


def test_a_picture_shows_truth_and_prediction_where_the_voxels_are():
    scenes = ToyScenes("val", grid={"voxel_size": (0.5, 1.0, 2.0), "lower": -5, "upper": 5})
    batch = scenes.validation_batch([scenes.cloud(0)])
    voxels = batch.clouds[0].voxels
    predicted = np.arange(len(voxels)) % 3
    kept = []
    log = SimpleNamespace(add_figure=lambda *arguments: kept.append(arguments))
    hook = ValidationPictures(log, scenes)
    hook.before_val_epoch(None)
    outputs = [{"scores": torch.eye(3)[predicted]}]
    hook.after_val_iter(SimpleNamespace(iter=7), 0, batch, outputs)
    ((name, figure, step),) = kept
    assert (name, step) == ("validation/from above 1", 7)
    assert [axes.get_title() for axes in figure.axes] == ["true", "predicted"]
    grey = np.array([128, 128, 128])
    colours = np.vstack([class_colours(3), grey]) / 255
    for axes, classes in zip(figure.axes, (voxels.labels, predicted), strict=True):
        (marks,) = axes.collections
        expected = np.column_stack([(voxels.coordinates[:, :2] + 0.5) * (0.5, 1.0), colours[classes]])
        found = np.column_stack([marks.get_offsets(), marks.get_facecolors()[:, :3]])
        assert np.allclose(np.unique(found, axis=0), np.unique(expected, axis=0))


def test_the_setting_is_a_whole_number_and_for_labelled_points(tmp_path, monkeypatch):
    monkeypatch.setattr(ToyScenes, "__module__", "spikevox.toy")
    config = experiment()
    config["val_dataloader"]["pictures"] = -1
    with pytest.raises(ConfigError, match=r"val_dataloader\.pictures must be a whole number of at least 0, got -1"):
        check_config(config, "toy.py")
    config = load_config(TINY, ["val_dataloader.pictures=1"])
    with pytest.raises(ConfigError, match=r"val_dataloader\.pictures: GeneratedShapes has no labelled points to draw"):
        build_runner(config, tmp_path)
