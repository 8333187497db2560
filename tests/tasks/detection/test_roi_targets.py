"""Proposals that a second stage learns from, against what the rules say of each."""

import math

import numpy as np
import pytest
import torch

from oracles.box_pairs import random_boxes
from oracles.exact_overlap import overlap_in_space
from spikevox.tasks.detection import RoiSampling, decode_rois, encode_rois, sample_rois
from spikevox.tasks.errors import BoxError, ConfigError


def frame(seed, proposals=300, objects=4, near=True):
    """Proposals of which some are close to objects and some are far."""
    generator = np.random.default_rng(seed)
    truth = random_boxes(generator, objects, extent=20)
    boxes = truth[generator.integers(0, objects, proposals)] if near else random_boxes(generator, proposals, extent=20)
    boxes = boxes + generator.normal(0, 1, boxes.shape) * generator.choice([0.02, 0.2, 5], (proposals, 1))
    boxes[:, 3:6] = boxes[:, 3:6].clip(0.3)
    return boxes, truth


@pytest.mark.parametrize("seed", range(8))
def test_targets_are_what_the_rules_say_of_each_proposal(seed):
    boxes, truth = frame(seed)
    table = [[overlap_in_space(box, other) for other in truth.tolist()] for box in boxes.tolist()]
    most = [max(row) for row in table]
    targets = sample_rois(boxes, truth, np.random.default_rng(seed))
    assert len(targets.rows) == 128
    for place, row in enumerate(targets.rows.tolist()):
        value = most[row]
        expected = 1 if value > 0.75 else 0 if value < 0.25 else (value - 0.25) * 2
        assert targets.scores[place].item() == pytest.approx(expected, abs=1e-6)
        assert targets.found[place].item() == (value >= 0.55)
        if value > 0:
            back = decode_rois(targets.deltas[place], torch.from_numpy(boxes[row]).float()).double()
            other = truth[table[row].index(value)]
            assert back[:6].tolist() == pytest.approx(other[:6].tolist(), abs=1e-4)
            assert abs(math.cos(back[6] - other[6])) == pytest.approx(1, abs=1e-6)
    kept = [row for row, found in zip(targets.rows.tolist(), targets.found.tolist(), strict=True) if found]
    assert len(kept) == len(set(kept)) == min(64, sum(value >= 0.55 for value in most))
    hard = sum(0.1 <= most[row] < 0.55 for row in targets.rows.tolist())
    assert hard == int((128 - len(kept)) * 0.8)
    assert targets.found[: len(kept)].all()


def test_the_same_generator_chooses_the_same(generator):
    boxes, truth = frame(1)
    first, again, other = (sample_rois(boxes, truth, np.random.default_rng(seed)).rows for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_frames_with_one_kind_of_proposal_fill_all_places():
    boxes, truth = frame(2)
    rng = np.random.default_rng(0)
    exact = sample_rois(truth, truth, rng)
    assert len(exact.rows) == 128
    assert exact.found.all()
    assert (exact.scores == 1).all()
    assert exact.deltas.abs().max() < 1e-6
    for objects in (truth[:0], truth + 500 * np.eye(7)[0]):
        easy = sample_rois(boxes, objects, rng)
        assert len(easy.rows) == 128
        assert not easy.found.any()
        assert easy.scores.max() == easy.deltas.abs().max() == 0
    few = sample_rois(boxes, truth, rng, sampling=RoiSampling(places=10, found_share=0.2))
    assert len(few.rows) == 10
    assert few.found.sum() == 2
    hard = truth * [1, 1, 1, 1, 1, 0.4, 1]
    assert (sample_rois(hard, truth, rng).scores - 0.3).abs().max() < 1e-6


def test_proposals_meet_objects_of_their_class_only():
    _, truth = frame(3, objects=2)
    kinds = np.array([1, 2])
    same = sample_rois(truth, truth, np.random.default_rng(0), proposal_classes=kinds, object_classes=kinds)
    assert same.found.all()
    other = sample_rois(truth, truth, np.random.default_rng(0), proposal_classes=kinds, object_classes=kinds[::-1])
    assert not other.found.any()
    with pytest.raises(ConfigError, match="classes are needed of proposals and objects"):
        sample_rois(truth, truth, np.random.default_rng(0), object_classes=kinds)


def test_deltas_are_those_seen_from_the_region():
    """By hand: a region that looks along y; the box lies one metre ahead of it and looks the other way."""
    region = torch.tensor([[10.0, 5, 0, 4, 3, 2, math.pi / 2]], dtype=torch.float64)
    box = torch.tensor([[10.0, 6, 1, 8, 3, 2, -math.pi / 2 + 0.1]], dtype=torch.float64)
    assert encode_rois(box, region)[0].tolist() == pytest.approx([0.2, 0, 0.5, math.log(2), 0, 0, 0.1], abs=1e-12)


def test_boxes_turn_with_their_regions(generator):
    """Deltas do not change where the whole scene is turned and moved."""
    boxes, regions = (torch.from_numpy(random_boxes(generator, 50)) for _ in range(2))
    angle, shift = 0.7, torch.tensor([3.0, -2, 1], dtype=torch.float64)
    c, s = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=torch.float64)
    turned = [torch.cat([x[:, :3] @ turn.T + shift, x[:, 3:6], x[:, 6:] + angle], dim=1) for x in (boxes, regions)]
    deltas = encode_rois(boxes, regions)
    assert torch.allclose(encode_rois(*turned), deltas, atol=1e-9)
    assert deltas[:, 6].abs().max() <= math.pi / 2
    back = decode_rois(deltas, regions)
    assert torch.allclose(back[:, :6], boxes[:, :6], atol=1e-9)
    assert torch.allclose(torch.cos(back[:, 6] - boxes[:, 6]).abs(), torch.ones(50, dtype=torch.float64), atol=1e-9)
    assert torch.autograd.gradcheck(lambda d: decode_rois(d, regions[:3]), (deltas[:3].clone().requires_grad_(),))


def test_wrong_input_is_refused():
    boxes, truth = frame(0)
    with pytest.raises(BoxError, match="there is no proposal"):
        sample_rois(boxes[:0], truth, np.random.default_rng(0))
    with pytest.raises(BoxError, match="1 of 4 objects have numbers"):
        sample_rois(boxes, np.where(np.eye(4, 7) * [0, 1, 0, 0, 0, 0, 0], np.nan, truth), np.random.default_rng(0))
