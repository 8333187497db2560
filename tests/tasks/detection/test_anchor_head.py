"""The head: parameters, order of its channels, boxes that come back from perfect answers."""

import math

import numpy as np
import pytest
import torch

from spikevox.tasks.datasets import Boxes
from spikevox.tasks.detection import KITTI_CAR, AnchorClass, AnchorHead, AnchorOutput, BoxChoice
from spikevox.tasks.errors import BoxError, ConfigError

CAR = AnchorClass("car", (4.5, 1.8, 1.6), -2.0, 0.5, 0.35)
WALKER = {"name": "walker", "size": (0.8, 0.8, 1.8), "bottom": -2.0, "matched": 0.4, "unmatched": 0.3}
EXTENT = (-16.0, -12.0, 16.0, 12.0)


def head(**options):
    return AnchorHead(4, [CAR, WALKER], EXTENT, in_cells=True, **options)


def objects():
    """Well apart, in all quarters of the circle."""
    rows = np.array(
        [
            [-9.3, 4.1, -1.1, 4.4, 1.7, 1.5, 0.3],
            [7.7, -6.2, -1.3, 4.9, 1.9, 1.7, 2.8],
            [0.4, 0.1, -1.2, 4.1, 1.8, 1.6, -1.4],
            [9.1, 8.0, -1.2, 4.1, 1.8, 1.6, -2.9],
            [-2.2, -8.3, -1.0, 0.9, 0.7, 1.8, 1.2],
        ]
    )
    return Boxes(rows[:, :3], rows[:, 3:6], rows[:, 6], ("car", "car", "car", "car", "walker"))


def perfect(detector, boxes, cells=(40, 30)):
    """What a network would say that has learnt the targets to the end."""
    shape = (1, cells[1], cells[0], 2, 2)
    blank = AnchorOutput(torch.zeros(shape), torch.zeros(*shape, 7), torch.zeros(*shape, 2))
    target = detector.targets(blank, [boxes])[0]
    scores = torch.where(target.classes > 0, 4.0, -9.0)[None]
    halves = torch.nn.functional.one_hot(target.halves, 2).float()[None]
    return AnchorOutput(scores, target.deltas[None], halves)


def test_published_parameter_count():
    assert sum(p.numel() for p in AnchorHead(256, [KITTI_CAR], (0, -40, 70.4, 40)).parameters()) == 5_140


def test_channels_are_ordered_by_class_heading_and_number():
    network = head()
    with torch.no_grad():
        for layer in (network.score, network.box, network.direction):
            layer.weight.zero_()
            layer.bias.copy_(torch.arange(len(layer.bias)))
    output = network(torch.zeros(2, 4, 3, 5))
    assert output.scores.shape == (2, 3, 5, 2, 2)
    for kind, heading in np.ndindex(2, 2):
        place = 2 * kind + heading
        assert bool((output.scores[..., kind, heading] == place).all())
        assert output.deltas[0, 0, 0, kind, heading].tolist() == [7 * place + i for i in range(7)]
        assert output.halves[1, 2, 4, kind, heading].tolist() == [2 * place, 2 * place + 1]


def test_a_map_of_other_cells_has_its_own_anchors():
    network = head()
    assert network.anchors((40, 30)).shape == (30, 40, 2, 2, 7)
    assert network.anchors((8, 6))[0, 0, 0, 0].tolist()[:2] == [-14.0, -10.0]


def test_perfect_answers_give_the_objects_back_each_once():
    network, truth = head(), objects()
    found = network.boxes(perfect(network, truth))[0]
    assert len(found) == len(truth)
    order = [int(np.argmin(np.linalg.norm(found.centers - center, axis=1))) for center in truth.centers]
    found = found.take(np.array(order))
    assert found.names == truth.names
    # Deltas are float32.
    np.testing.assert_allclose(found.centers, truth.centers, atol=1e-5)
    np.testing.assert_allclose(found.sizes, truth.sizes, atol=1e-5)
    np.testing.assert_allclose(np.cos(found.yaw - truth.yaw), 1, atol=1e-9)
    assert found.scores == pytest.approx(np.full(5, 1 / (1 + math.exp(-4))))


def test_the_choice_bounds_scores_candidates_and_number():
    network = head()
    output = perfect(network, objects())
    output = output._replace(scores=output.scores + torch.linspace(0, 1, output.scores.numel()).view_as(output.scores))
    everything = network.boxes(output)[0]
    assert (np.diff(everything.scores) <= 0).all()
    assert len(network.boxes(output, BoxChoice(most=2))[0]) == 2
    assert len(network.boxes(output, BoxChoice(candidates=1))[0]) == 1
    assert len(network.boxes(output, BoxChoice(score=0.999))[0]) == 0
    assert len(network.boxes(output, BoxChoice(overlap=1.0))[0]) > len(everything)


def test_boxes_of_two_classes_do_not_suppress_each_other():
    network = head()
    rows = np.array([[0.3, 0.2, -1.2, 4.4, 1.8, 1.6, 0.1], [0.3, 0.2, -1.1, 0.8, 0.8, 1.8, 0.1]])
    both = Boxes(rows[:, :3], rows[:, 3:6], rows[:, 6], ("car", "walker"))
    # They share eight hundredths of their area.
    found = network.boxes(perfect(network, both), BoxChoice(overlap=0.05))[0]
    assert sorted(found.names) == ["car", "walker"]


def test_the_direction_says_which_way_round_a_box_lies():
    """The loss of boxes does not mind half a turn; nor may what is found."""
    network, truth = head(), objects()
    output = perfect(network, truth)
    turned = output.deltas.clone()
    turned[..., 6] += math.pi
    for deltas in (output.deltas, turned):
        found = network.boxes(output._replace(deltas=deltas))[0]
        nearest = np.linalg.norm(found.centers[:, None] - truth.centers, axis=2).argmin(axis=1)
        np.testing.assert_allclose(np.cos(found.yaw - truth.yaw[nearest]), 1, atol=1e-9)
    around = network.boxes(output._replace(halves=output.halves.flip(-1)))[0]
    nearest = np.linalg.norm(around.centers[:, None] - truth.centers, axis=2).argmin(axis=1)
    np.testing.assert_allclose(np.cos(around.yaw - truth.yaw[nearest]), -1, atol=1e-9)


def test_an_untrained_head_finds_boxes_that_can_be_measured():
    network = head()
    with torch.no_grad():
        network.box.weight.normal_(std=100.0)
        network.score.bias.zero_()
    found = network.boxes(network(torch.randn(1, 4, 30, 40)))[0]
    assert len(found)
    assert np.isfinite(found.array()).all()


def test_answers_that_are_not_finite_are_an_error():
    network = head()
    output = perfect(network, objects())
    scores = output.scores.clone()
    scores[0, 0, 0, 0, 0] = float("nan")
    with pytest.raises(BoxError, match="scores must be"):
        network.boxes(output._replace(scores=scores))
    deltas = output.deltas.clone()
    deltas[output.scores > 0] = float("nan")
    with pytest.raises(BoxError, match="not finite"):
        network.boxes(output._replace(deltas=deltas))


def test_classes_that_do_not_fit_are_named():
    network = head()
    other = objects()
    other = Boxes(other.centers, other.sizes, other.yaw, ("car",) * 4 + ("bus",))
    with pytest.raises(ConfigError, match="class 'bus'; the head has anchors of car, walker"):
        perfect(network, other)
    with pytest.raises(ConfigError, match="one entry"):
        AnchorHead(4, [CAR, CAR], EXTENT)
    with pytest.raises(ConfigError, match="anchors of a class need name, size, bottom"):
        AnchorHead(4, [{"name": "car"}], EXTENT)
