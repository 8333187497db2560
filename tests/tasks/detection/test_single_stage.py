"""The detector of one stage: parameters, gradients on a generated street, cars learnt by heart, errors."""

import numpy as np
import pytest
import torch

from spikevox.layers.backbones import BevBackbone, Voxel8x
from spikevox.tasks.build import build
from spikevox.tasks.datasets.detection import detection_batch
from spikevox.tasks.detection import KITTI_CAR, AnchorHead, SingleStageDetector, box_result
from spikevox.tasks.errors import ConfigError
from tasks.detection.toy_streets import OPTIONS, detector, streets


@pytest.fixture(scope="module")
def cloud():
    return build(streets(first_seed=3)).cloud(0)


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_published_parameter_count():
    head = {"type": AnchorHead, "anchors": [KITTI_CAR], "extent": (0, -40, 70.4, 40)}
    published = SingleStageDetector(Voxel8x(4, grid=(1408, 1600, 41)), {"type": BevBackbone}, head)
    assert parameters(published) == 2_946_836
    assert parameters(build(detector())) == 799_764


def test_every_parameter_of_the_small_form_gets_a_gradient(cloud):
    network = build(detector())
    losses = network(*detection_batch([cloud]), mode="loss")
    assert set(losses) == {"score_loss", "box_loss", "direction_loss", "positives"}
    assert int(losses.pop("positives")) >= len(cloud.boxes)
    sum(losses.values()).backward()
    for name, parameter in network.named_parameters():
        assert bool(parameter.grad.isfinite().all()), name
        assert bool(parameter.grad.abs().sum() > 0), name


def test_a_frame_learnt_by_heart_is_found(cloud):
    """Forty steps; every car is found at an overlap of 0.5 in space before any box that is none."""
    network, batch = build(detector()), detection_batch([cloud])
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3)
    for _ in range(40):
        losses = network(*batch, mode="loss")
        optimiser.zero_grad()
        (losses["score_loss"] + losses["box_loss"] + losses["direction_loss"]).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10)
        optimiser.step()
    network.eval()
    found = network(*batch, mode="predict")
    result = box_result(batch.boxes, found, OPTIONS["min_overlap"])
    assert result.row("car", "3d", "moderate").boxes == len(cloud.boxes) >= 5
    assert result.row("car", "3d", "moderate").exact > 99
    best = found[0].take(np.arange(len(cloud.boxes)))
    nearest = np.linalg.norm(best.centers[:, None] - cloud.boxes.centers, axis=2).argmin(axis=1)
    # Which way a car points, too.
    assert (np.cos(best.yaw - cloud.boxes.yaw[nearest]) > 0.9).all()


def test_a_sample_gets_what_it_gets_alone(cloud):
    other = build(streets(first_seed=4)).cloud(0)
    network = build(detector()).double()
    both = detection_batch([cloud, other])
    network.train()(*both)
    network.eval()
    together = network(*both)
    for sample, one in enumerate((cloud, other)):
        alone = network(*detection_batch([one]))
        for name in alone._fields:
            found, expected = getattr(together, name)[sample], getattr(alone, name)[0]
            assert torch.allclose(found, expected, atol=1e-10), name


@pytest.mark.filterwarnings("ignore:.*no voxel is left:UserWarning")
@pytest.mark.parametrize("lower", [1.0, 30.0], ids=["roofs", "nothing"])
def test_a_sample_without_objects_has_a_loss(cloud, lower):
    """Beside another, and alone; also where not one point lies in the grid's range."""
    grid = {**OPTIONS["grid"], "lower": (-16, -16, lower), "upper": (16, 16, lower + 4.8)}
    empty = build(streets(first_seed=3, grid=grid)).cloud(0)
    assert len(empty.boxes) == 0
    assert (len(empty.voxels) == 0) == (lower > 1)
    network = build(detector())
    for batch in ([empty, cloud], [empty, empty]):
        losses = network(*detection_batch(batch), mode="loss")
        sum(losses.values()).backward()
        assert float(losses["score_loss"].detach()) > 0
    assert float(losses["box_loss"].detach()) == float(losses["positives"]) == 0
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters() if p.grad is not None)
    assert len(network.eval()(*detection_batch([empty]), mode="predict")) == 1


def test_parts_that_do_not_fit_are_named(cloud):
    head = detector()["head"]
    with pytest.raises(ConfigError, match="a backbone with bounds"):
        SingleStageDetector(Voxel8x(4, size="small"), {"type": BevBackbone}, head)
    with pytest.raises(ConfigError, match=r"reads 128 channels and the head 128, got in_channels of 64 and 128"):
        SingleStageDetector(Voxel8x(4, size="small", grid=(32, 32, 33)), BevBackbone(64, size="small"), head)
    with pytest.raises(ConfigError, match="choice has score, overlap, candidates, most"):
        build(detector(choice={"threshold": 0.3}))
    with pytest.raises(ConfigError, match="loss_weights has score, box, direction"):
        build(detector(loss_weights={"boxes": 2.0}))
    batch = detection_batch([cloud._replace(boxes=None)])
    with pytest.raises(ConfigError, match="this split has none"):
        build(detector())(*batch, mode="loss")
